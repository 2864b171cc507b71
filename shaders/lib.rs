//! The WGSL kernels of wgrad, each a string constant named after its file.
//!
//! `SUM` is `sum.wgsl`, [`lib::PHILOX`] is `lib/philox.wgsl`. A file is valid WGSL either on its own or when
//! appended to the files of `lib/` that its opening comment names. `README.md` explains the terms of these
//! comments: *serial*, *tree* and *parts*. `build.rs` writes the list of constants, so a new kernel only needs a
//! new file.
//!
//! ```
//! assert!(wgrad_shaders::SUM.contains("fn serial"));
//! assert!(wgrad_shaders::lib::PHILOX.contains("fn philox"));
//! ```

include!(concat!(env!("OUT_DIR"), "/shaders.rs"));
