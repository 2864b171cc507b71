//! `Send`, where the platform's device objects are.

/// `Send` natively, and no requirement in a browser, whose GPU objects live on one thread. Not to be implemented by hand:
/// every type that can has it.
#[cfg(not(target_arch = "wasm32"))]
pub trait WasmNotSend: Send {}
#[cfg(not(target_arch = "wasm32"))]
impl<T: Send + ?Sized> WasmNotSend for T {}

/// `Send` natively, and no requirement in a browser, whose GPU objects live on one thread. Not to be implemented by hand:
/// every type that can has it.
#[cfg(target_arch = "wasm32")]
pub trait WasmNotSend {}
#[cfg(target_arch = "wasm32")]
impl<T: ?Sized> WasmNotSend for T {}
