//! The WGSL kernels of wgrad, each a string constant named after its file.
//!
//! `SUM` is `sum.wgsl`, [`lib::PHILOX`] is `lib/philox.wgsl`. A file is valid WGSL as it stands, or
//! becomes so behind the files of `lib/` that its first lines name. `build.rs` writes the list, so that a new kernel is
//! a new file and nothing else.
//!
//! ```
//! assert!(wgrad_shaders::SUM.contains("fn serial"));
//! assert!(wgrad_shaders::lib::PHILOX.contains("fn philox"));
//! ```

include!(concat!(env!("OUT_DIR"), "/shaders.rs"));
