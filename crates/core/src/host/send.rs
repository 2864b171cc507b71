//! Trait that requires `Send` on platforms whose device objects are `Send`.

/// Requirement to be `Send`, except in a browser, where GPU objects belong to one thread and every type satisfies
/// it. Implemented automatically.
#[cfg(not(target_arch = "wasm32"))]
pub trait WasmNotSend: Send {}
#[cfg(not(target_arch = "wasm32"))]
impl<T: Send + ?Sized> WasmNotSend for T {}

/// Requirement to be `Send`, except in a browser, where GPU objects belong to one thread and every type satisfies
/// it. Implemented automatically.
#[cfg(target_arch = "wasm32")]
pub trait WasmNotSend {}
#[cfg(target_arch = "wasm32")]
impl<T: ?Sized> WasmNotSend for T {}
