//! Reflection of WGSL: extracts from the source what launches would otherwise have to declare a second time: the
//! bindings by name, the layout of the uniform `params`, the workgroup sizes, and the positions of the functions
//! that fusion replaces.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;
use std::sync::{Arc, Mutex};

use naga::valid::{Capabilities, ValidationFlags, Validator};
use naga::{AddressSpace, ArraySize, Scalar, ScalarKind, StorageAccess, TypeInner};
use wgrad_core::{DeviceError, Error, KernelProblem, Param, Result};

use crate::gpu::lock;

/// Buffer or uniform that an entry point uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// Name of the WGSL variable.
    pub name: String,
    /// Number of its `@binding`.
    pub index: u32,
    /// True for the uniform `params`.
    pub uniform: bool,
    /// True if the kernel may write to the buffer.
    pub writable: bool,
}

/// Entry point of a WGSL module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryPoint {
    /// Buffers and uniforms in use, sorted by `@binding`.
    pub bindings: Vec<Binding>,
    /// Threads per workgroup, along each axis.
    pub workgroup: [u32; 3],
}

/// Properties of a WGSL module that launches need.
#[derive(Clone, Debug)]
pub struct ReflectedModule {
    /// Entry points by name.
    pub entries: BTreeMap<String, EntryPoint>,
    /// Members of the uniform struct by name, each with its offset in bytes and its scalar type.
    pub params: BTreeMap<String, (u32, ScalarKind)>,
    /// Size of the uniform struct in bytes.
    pub params_size: u32,
    /// Names of the `override` constants.
    pub overrides: Vec<String>,
}

fn parse(name: &str, source: &str) -> Result<naga::Module> {
    naga::front::wgsl::parse_str(source).map_err(|error| {
        let message = error.emit_to_string_with_path(source, name);
        DeviceError::kernel(name, KernelProblem::Invalid { message }).into()
    })
}

/// Positions of the functions in a kernel's WGSL source, and names of its read-only arrays of scalars. Needed to
/// fuse pointwise ops into the kernel.
#[derive(Debug)]
pub(super) struct Outline {
    /// Byte range of each function, by name: from `fn` to the closing brace.
    functions: BTreeMap<String, Range<usize>>,
    /// Names of the read-only storage buffers that are arrays of `f32`.
    scalars: BTreeSet<String>,
}

impl Outline {
    fn of(name: &str, source: &str) -> Result<Self> {
        let module = parse(name, source)?;
        let range = |(handle, function): (_, &naga::Function)| {
            Some((function.name.clone()?, module.functions.get_span(handle).to_range()?))
        };
        let functions = module.functions.iter().filter_map(range).collect();
        let scalar = |(_, variable): (_, &naga::GlobalVariable)| {
            let AddressSpace::Storage { access: StorageAccess::LOAD } = variable.space else { return None };
            let TypeInner::Array { base, size: ArraySize::Dynamic, .. } = module.types[variable.ty].inner else {
                return None;
            };
            let scalars = matches!(module.types[base].inner, TypeInner::Scalar(Scalar::F32));
            variable.name.clone().filter(|_| scalars)
        };
        let scalars = module.global_variables.iter().filter_map(scalar).collect();
        Ok(Self { functions, scalars })
    }

    /// Returns whether the source defines a function.
    pub fn has(&self, function: &str) -> bool {
        self.functions.contains_key(function)
    }

    /// Returns whether a variable is a read-only array of `f32`.
    pub fn reads_scalars(&self, variable: &str) -> bool {
        self.scalars.contains(variable)
    }

    /// Returns `source`, which must be the source of this outline, without the given functions.
    pub fn without(&self, source: &str, functions: &[String]) -> String {
        let mut ranges: Vec<&Range<usize>> = functions.iter().map(|function| &self.functions[function]).collect();
        ranges.sort_by_key(|range| range.start);
        let starts = [0].into_iter().chain(ranges.iter().map(|range| range.end));
        let ends = ranges.iter().map(|range| range.start).chain([source.len()]);
        let kept: String = starts.zip(ends).map(|(start, end)| &source[start..end]).collect();
        kept.trim_end().to_owned() + "\n"
    }
}

/// Cache of outlines by source, so that each source is parsed only once.
#[derive(Default)]
pub(crate) struct Outlines(Mutex<HashMap<String, Arc<Outline>>>);

impl Outlines {
    /// Returns the outline of a WGSL source. `name` is used in error messages.
    ///
    /// # Errors
    /// Returns an error with naga's explanation if the source does not parse.
    pub(super) fn of(&self, name: &str, source: &str) -> Result<Arc<Outline>> {
        if let Some(known) = lock(&self.0).get(source) {
            return Ok(known.clone());
        }
        let outline = Arc::new(Outline::of(name, source)?);
        lock(&self.0).insert(source.to_owned(), outline.clone());
        Ok(outline)
    }
}

/// Parses, validates and reflects a WGSL source. `name` is used in error messages.
///
/// # Errors
/// Returns an error if the source does not parse or validate (with naga's explanation), or if it uses a bind group
/// other than 0.
pub fn reflect(name: &str, source: &str) -> Result<ReflectedModule> {
    let invalid = |problem| Error::from(DeviceError::kernel(name, problem));
    let module = parse(name, source)?;
    let info = Validator::new(ValidationFlags::all(), Capabilities::all())
        .validate(&module)
        .map_err(|error| invalid(KernelProblem::Invalid { message: error.emit_to_string_with_path(source, name) }))?;
    let mut entries = BTreeMap::new();
    let mut params = BTreeMap::new();
    let mut params_size = 0;
    for (i, entry) in module.entry_points.iter().enumerate() {
        let usage = info.get_entry_point(i);
        let mut bindings = vec![];
        for (handle, variable) in module.global_variables.iter() {
            let (Some(place), false) = (&variable.binding, usage[handle].is_empty()) else { continue };
            if place.group != 0 {
                let variable = variable.name.clone().unwrap_or_else(|| "?".into());
                return Err(invalid(KernelProblem::BindGroup { variable, group: place.group }));
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
                        let member = member.name.clone().unwrap_or_else(|| "?".into());
                        return Err(invalid(KernelProblem::NotScalar { member }));
                    };
                    params.insert(member.name.clone().unwrap_or_default(), (member.offset, scalar.kind));
                }
            }
            let name = variable.name.clone().unwrap_or_default();
            bindings.push(Binding { name, index: place.binding, uniform, writable });
        }
        bindings.sort_by_key(|binding| binding.index);
        entries.insert(entry.name.clone(), EntryPoint { bindings, workgroup: entry.workgroup_size });
    }
    let overrides = module.overrides.iter().filter_map(|(_, constant)| constant.name.clone()).collect();
    Ok(ReflectedModule { entries, params, params_size, overrides })
}

impl ReflectedModule {
    /// Returns the bytes of the uniform `params` for these values, exactly one for each member of the struct.
    ///
    /// # Errors
    /// Returns an error if a member has no value, a value belongs to no member, or a value has the wrong type.
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
                    let [expected, found] = [expected, &kind].map(|kind| format!("{kind:?}"));
                    let problem = KernelProblem::ParamType { member: member.to_string(), expected, found };
                    return Err(DeviceError::kernel(name, problem).into());
                }
                None => {
                    let problem = KernelProblem::NoParam { member: member.to_string() };
                    return Err(DeviceError::kernel(name, problem).into());
                }
            }
        }
        let unset = self.params.keys().find(|member| !values.iter().any(|(set, _)| set == member));
        match unset {
            Some(member) => {
                let problem = KernelProblem::UnsetParam { member: member.clone() };
                Err(DeviceError::kernel(name, problem).into())
            }
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
    fn an_entry_point_binds_the_resources_it_uses() {
        let module = reflect("test", SOURCE).unwrap();
        let names = |entry: &str| -> Vec<_> {
            module.entries[entry].bindings.iter().map(|b| (b.name.clone(), b.writable)).collect()
        };
        assert_eq!(names("forward"), [("x".into(), false), ("y".into(), true), ("params".into(), false)]);
        assert_eq!(names("clear"), [("y".into(), true)]);
        assert_eq!(module.entries["forward"].workgroup, [32, 2, 1]);
    }

    #[test]
    fn functions_are_found_in_any_formatting() {
        let source = "
            @group(0) @binding(0) var<storage> x: array<f32>;
            @group(0) @binding(1) var<storage,read> n : array<u32>;
            @group(0) @binding(2) var<storage, read_write> y: array<f32>;
            // fn load_x(at: u32) is called once
            fn load_x( at: u32 ) -> f32 { if at > 9u {
return 0.0;
} return x[at]; }
            fn store_y(at: u32, value: f32)
            {
                y[at] = value; // }
            }
            @compute @workgroup_size(1) fn forward() { store_y(n[0], load_x(0)); }";
        let outlines = Outlines::default();
        let outline = outlines.of("test", source).unwrap();
        assert!(outline.has("load_x") && outline.has("store_y") && !outline.has("forward"));
        let scalars = ["x", "n", "y"].map(|variable| outline.reads_scalars(variable));
        assert_eq!(scalars, [true, false, false]);
        let rest = outline.without(source, &["store_y".into(), "load_x".into()]);
        let replaced = "fn load_x(at: u32) -> f32 { return 1.0; }\nfn store_y(at: u32, value: f32) {}\n";
        let module = reflect("test", &format!("{rest}{replaced}")).unwrap();
        let names: Vec<_> = module.entries["forward"].bindings.iter().map(|binding| &binding.name[..]).collect();
        assert_eq!(names, ["n"]);
        assert!(outlines.of("test", "fn load_x(").is_err());
    }

    #[test]
    fn params_are_set_by_name_and_checked() {
        let module = reflect("test", SOURCE).unwrap();
        let bytes = module.pack("test", &[("scale", Param::F32(2.0)), ("n", Param::U32(7))]).unwrap();
        assert_eq!(bytes[..8], [7, 0, 0, 0, 0, 0, 0, 0x40]);
        let say = |values: &[_]| module.pack("test", values).unwrap_err().to_string();
        assert_eq!(say(&[("n", Param::U32(7))]), "kernel `test`: nothing sets `params.scale`");
        assert_eq!(say(&[("m", Param::U32(7))]), "kernel `test`: there is no `params.m`");
        assert_eq!(say(&[("n", Param::F32(7.0))]), "kernel `test`: `params.n` is Uint, not Float");
    }
}
