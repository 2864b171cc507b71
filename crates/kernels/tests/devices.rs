//! Tests of selecting devices by name.

use wgrad_kernels::Device;

#[test]
fn unknown_devices_are_refused() {
    let error = Device::named("no such card").unwrap_err().to_string();
    assert!(error.starts_with("no device matches `no such card`; there "), "{error}");
    assert!(Device::named("  ").unwrap_err().to_string().starts_with("the device's name is empty"));
    assert_eq!(Device::named("cpu-f64").unwrap().info().kind, "cpu-f64");
}
