//! `Send`, on platforms whose device objects are `Send`.

/// `Send` natively, and no requirement in a browser, whose GPU objects belong to one thread. Every type that can be
/// implements it.
#[cfg(not(target_arch = "wasm32"))]
pub trait WasmNotSend: Send {}
#[cfg(not(target_arch = "wasm32"))]
impl<T: Send + ?Sized> WasmNotSend for T {}

/// `Send` natively, and no requirement in a browser, whose GPU objects belong to one thread. Every type that can be
/// implements it.
#[cfg(target_arch = "wasm32")]
pub trait WasmNotSend {}
#[cfg(target_arch = "wasm32")]
impl<T: ?Sized> WasmNotSend for T {}
