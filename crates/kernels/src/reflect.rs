//! Reads from WGSL what a launch needs to know, so that nothing is declared twice: bindings by name, the layout of
//! the uniform `params`, the workgroup size.

use std::collections::BTreeMap;

use naga::valid::{Capabilities, ValidationFlags, Validator};
use naga::{AddressSpace, ScalarKind, StorageAccess, TypeInner};
use wgrad_core::{Error, Param, Result};

/// A resource that an entry point uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// The WGSL variable.
    pub name: String,
    /// Its `@binding`.
    pub index: u32,
    /// Whether it is the uniform `params`.
    pub uniform: bool,
    /// Whether the kernel writes it.
    pub writable: bool,
}

/// An entry point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The resources it uses, by ascending `@binding`.
    pub bindings: Vec<Binding>,
    /// Threads per workgroup.
    pub workgroup: [u32; 3],
}

/// A reflected WGSL module.
#[derive(Clone, Debug)]
pub struct Module {
    /// Entry points by name.
    pub entries: BTreeMap<String, Entry>,
    /// Members of the uniform struct: offset and kind.
    pub params: BTreeMap<String, (u32, ScalarKind)>,
    /// Bytes of the uniform struct.
    pub params_size: u32,
    /// The names of the `override` constants.
    pub overrides: Vec<String>,
}

/// Parses, validates and reflects a WGSL source; `name` is for messages.
///
/// # Errors
/// When the source does not parse or validate, with naga's explanation; when it uses more than bind group 0.
pub fn reflect(name: &str, source: &str) -> Result<Module> {
    let fault = |what: String| Error::Device(format!("kernel `{name}`: {what}"));
    let module =
        naga::front::wgsl::parse_str(source).map_err(|error| fault(error.emit_to_string_with_path(source, name)))?;
    let info = Validator::new(ValidationFlags::all(), Capabilities::all())
        .validate(&module)
        .map_err(|error| fault(error.emit_to_string_with_path(source, name)))?;
    let mut entries = BTreeMap::new();
    let mut params = BTreeMap::new();
    let mut params_size = 0;
    for (i, entry) in module.entry_points.iter().enumerate() {
        let usage = info.get_entry_point(i);
        let mut bindings = vec![];
        for (handle, variable) in module.global_variables.iter() {
            let (Some(place), false) = (&variable.binding, usage[handle].is_empty()) else { continue };
            if place.group != 0 {
                return Err(fault(format!(
                    "`{}` is in bind group {}; only group 0 is used",
                    variable.name.as_deref().unwrap_or("?"),
                    place.group
                )));
            }
            let uniform = variable.space == AddressSpace::Uniform;
            let writable = match variable.space {
                AddressSpace::Storage { access } => access.contains(StorageAccess::STORE),
                _ => false,
            };
            if let (true, TypeInner::Struct { members, span }) = (uniform, &module.types[variable.ty].inner) {
                params_size = span.next_multiple_of(16);
                for member in members {
                    let TypeInner::Scalar(scalar) = module.types[member.ty].inner else {
                        return Err(fault(format!(
                            "member `{}` of the uniform is not a scalar",
                            member.name.as_deref().unwrap_or("?")
                        )));
                    };
                    params.insert(member.name.clone().unwrap_or_default(), (member.offset, scalar.kind));
                }
            }
            let name = variable.name.clone().unwrap_or_default();
            bindings.push(Binding { name, index: place.binding, uniform, writable });
        }
        bindings.sort_by_key(|binding| binding.index);
        entries.insert(entry.name.clone(), Entry { bindings, workgroup: entry.workgroup_size });
    }
    let overrides = module.overrides.iter().filter_map(|(_, constant)| constant.name.clone()).collect();
    Ok(Module { entries, params, params_size, overrides })
}

impl Module {
    /// The bytes of the uniform for these values, which must be exactly its members.
    ///
    /// # Errors
    /// When a member is missing, unknown or of another type.
    pub fn pack(&self, name: &str, values: &[(&'static str, Param)]) -> Result<Vec<u8>> {
        let mut bytes = vec![0; self.params_size as usize];
        for (member, value) in values {
            let (word, kind) = match value {
                Param::U32(value) => (value.to_le_bytes(), ScalarKind::Uint),
                Param::F32(value) => (value.to_le_bytes(), ScalarKind::Float),
            };
            match self.params.get(*member) {
                Some(&(offset, expected)) if expected == kind => {
                    bytes[offset as usize..offset as usize + 4].copy_from_slice(&word);
                }
                Some((_, expected)) => {
                    return Err(Error::Device(format!(
                        "kernel `{name}`: `params.{member}` is {expected:?}, not {kind:?}"
                    )));
                }
                None => return Err(Error::Device(format!("kernel `{name}` has no `params.{member}`"))),
            }
        }
        let unset = self.params.keys().find(|member| !values.iter().any(|(set, _)| set == member));
        match unset {
            Some(member) => Err(Error::Device(format!("kernel `{name}`: nothing sets `params.{member}`"))),
            None => Ok(bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "
        struct Params { n: u32, scale: f32 }
        @group(0) @binding(0) var<storage, read> x: array<f32>;
        @group(0) @binding(3) var<storage, read_write> y: array<f32>;
        @group(0) @binding(5) var<uniform> params: Params;
        @compute @workgroup_size(32, 2) fn forward(@builtin(global_invocation_id) id: vec3<u32>) {
            if id.x < params.n { y[id.x] = x[id.x] * params.scale; }
        }
        @compute @workgroup_size(1) fn clear() { y[0] = 0.0; }";

    #[test]
    fn an_entry_binds_what_it_uses() {
        let module = reflect("test", SOURCE).unwrap();
        let names = |entry: &str| -> Vec<_> {
            module.entries[entry].bindings.iter().map(|b| (b.name.clone(), b.writable)).collect()
        };
        assert_eq!(names("forward"), [("x".into(), false), ("y".into(), true), ("params".into(), false)]);
        assert_eq!(names("clear"), [("y".into(), true)]);
        assert_eq!(module.entries["forward"].workgroup, [32, 2, 1]);
    }

    #[test]
    fn params_are_set_by_name_and_checked() {
        let module = reflect("test", SOURCE).unwrap();
        let bytes = module.pack("test", &[("scale", Param::F32(2.0)), ("n", Param::U32(7))]).unwrap();
        assert_eq!(bytes[..8], [7, 0, 0, 0, 0, 0, 0, 0x40]);
        let say = |values: &[_]| module.pack("test", values).unwrap_err().to_string();
        assert_eq!(say(&[("n", Param::U32(7))]), "kernel `test`: nothing sets `params.scale`");
        assert_eq!(say(&[("m", Param::U32(7))]), "kernel `test` has no `params.m`");
        assert_eq!(say(&[("n", Param::F32(7.0))]), "kernel `test`: `params.n` is Uint, not Float");
    }
}
