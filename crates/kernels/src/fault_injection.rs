//! Fault injection: puts known faults into kernels, so that tests can verify that the parity checks find them.
//!
//! Available only with the feature `fault-injection`.
//! [`DeviceHooks::with_fault`](crate::testing::DeviceHooks::with_fault) opens a device with one of the [`faults`]:
//! lines of the kernels' WGSL are replaced just before compilation.

use wgrad_core::{DeviceError, Kernel, KernelProblem, Result, SettingError};

/// Fault that can be injected into kernels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Name, such as `biased variance`.
    pub name: &'static str,
    /// Description of the results that the fault makes wrong, and of the conditions under which it does so.
    pub effect: &'static str,
    /// Kernels into which the fault can be injected: names of files in `shaders/`, without extension.
    pub kernels: &'static [&'static str],
    edits: &'static [Edit],
}

/// Edit of a kernel's source: some lines are replaced with faulty ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Edit {
    /// Line that identifies the kernel: it occurs in no other kernel.
    within: &'static str,
    /// Lines to replace. They occur exactly once in the kernel.
    find: &'static str,
    /// Faulty lines.
    replace: &'static str,
}

/// Returns the faults that can be injected.
///
/// ```
/// let names: Vec<_> = wgrad_kernels::fault_injection::faults().iter().map(|fault| fault.name).collect();
/// assert!(names.contains(&"biased variance") && names.len() == 10);
/// ```
pub fn faults() -> &'static [Fault] {
    FAULTS
}

impl Fault {
    /// Returns the fault called `name`; words may be joined with hyphens, as in `biased-variance`.
    ///
    /// # Errors
    /// Returns an error if there is no such fault; the message lists all faults.
    pub fn named(name: &str) -> Result<&'static Self> {
        let wanted = name.trim().replace('-', " ");
        faults()
            .iter()
            .find(|fault| fault.name == wanted)
            .ok_or_else(|| SettingError::unknown("fault", name, faults().iter().map(|fault| fault.name)).into())
    }

    /// Returns the kernel with the fault injected, to be compiled with all runtime checks. Returns `None` if the
    /// fault is not in this kernel.
    ///
    /// # Errors
    /// Returns an error if the kernel has changed, so that the lines to replace no longer occur in it exactly
    /// once.
    pub(crate) fn in_kernel(&self, kernel: &Kernel) -> Result<Option<Kernel>> {
        let source = kernel.source();
        let mut faulty = source.clone();
        for edit in self.edits.iter().filter(|edit| source.contains(edit.within)) {
            let count = faulty.matches(edit.find).count();
            if count != 1 {
                let problem = KernelProblem::FaultLines { fault: self.name.into(), count };
                return Err(DeviceError::kernel(kernel.name.to_string(), problem).into());
            }
            faulty = faulty.replace(edit.find, edit.replace);
        }
        Ok((faulty != source).then(|| Kernel::generated(kernel.name.to_string(), faulty)))
    }
}

const FAULTS: &[Fault] = &[
    Fault {
        name: "wrong sign",
        effect: "the gradient of batch norm adds the term along x̂ instead of subtracting it: dx is wrong, dw and db \
                 are right",
        kernels: &["batch_norm_backward", "batch_norm_backward_serial"],
        edits: &[
            Edit {
                within: "fn products(work: Task, lane: u32, m: f32) -> vec2<f32> {",
                find: "let slope = dw * r / f32(params.count);",
                replace: "let slope = -dw * r / f32(params.count);",
            },
            Edit {
                within: "fn apply(work: Task, known: Constants, total: Pair) {",
                find: "let slope = dw * known.r / f32(params.count);",
                replace: "let slope = -dw * known.r / f32(params.count);",
            },
        ],
    },
    Fault {
        name: "missing barrier",
        effect: "the threads of a sum do not wait for each other: sums over rows and columns that a workgroup computes \
                 together lose terms (in the kernels for real GPUs)",
        kernels: &["sum"],
        edits: &[
            Edit {
                within: "// y[i, p, k] = Σ_{j in part p} x[i, j, k]",
                find: "        workgroupBarrier();\n        if lane % THREADS < half {",
                replace: "        if lane % THREADS < half {",
            },
            Edit {
                within: "// y[i, p, k] = Σ_{j in part p} x[i, j, k]",
                find: "        workgroupBarrier();\n        if lane < half {",
                replace: "        if lane < half {",
            },
        ],
    },
    Fault {
        name: "one row too few",
        effect: "the last row of a row gather (an embedding lookup) is not written",
        kernels: &["gather"],
        edits: &[Edit {
            within: "// forward:   y[i, k] = table[index[i], k]",
            find: "if t >= params.n * params.inner {\n        return;\n    }\n    let row = index[t / params.inner];",
            replace: "if t >= (params.n - 1u) * params.inner {\n        return;\n    }\n    let row = index[t / params.inner];",
        }],
    },
    Fault {
        name: "biased variance",
        effect: "the variance that batch norm returns is multiplied by (n − 1) / n: the running variance is the \
                 biased one, and the gradient is slightly wrong",
        kernels: &["lib/batch_norm_forward"],
        edits: &[Edit {
            within: "fn store_channel(c: u32, m: f32, spread: f32) {",
            find: "store_variance(c, spread);",
            replace: "store_variance(c, spread - spread / f32(params.count));",
        }],
    },
    Fault {
        name: "exp without max",
        effect: "softmax computes exp of the values without subtracting the largest first: it overflows above 88, and is 0 \
                 below −88",
        kernels: &["softmax"],
        edits: &[
            Edit {
                within: "// softmax:      y[o, c, i] = exp(x[o, c, i] − m) / (1 + s)",
                find: "s += select(exp(x[at] - best.value), 0.0, at == best.place);",
                replace: "s += exp(x[at]);",
            },
            Edit {
                within: "// softmax:      y[o, c, i] = exp(x[o, c, i] − m) / (1 + s)",
                find: "    let log_s = special_log1p(s);",
                replace: "    let log_s = log(s);",
            },
            Edit {
                within: "// softmax:      y[o, c, i] = exp(x[o, c, i] − m) / (1 + s)",
                find: "        let value = x[at] - best.value;\n        store_y(at, select(exp(value) / (1.0 + s),",
                replace: "        let value = x[at];\n        store_y(at, select(exp(value) / s,",
            },
        ],
    },
    Fault {
        name: "dropped upstream gradient",
        effect: "the gradient of max pooling counts windows instead of adding their gradients: right only if these \
                 are 1",
        kernels: &["max_pool"],
        edits: &[Edit {
            within: "// forward:  y[n, o] = max_{i in window o} x[n, i]",
            find: "sum += dy[o];",
            replace: "sum += 1.0;",
        }],
    },
    Fault {
        name: "f16 where f32",
        effect: "the results of matrix products are rounded to half precision: about three digits are right",
        kernels: &["lib/matmul", "matmul_tiled", "matmul_direct", "matmul_tree"],
        edits: &[Edit {
            within: "fn finish(at: u32, column: u32, value: f32) {",
            find: "    var result = value;",
            replace: "    var result = unpack2x16float(pack2x16float(vec2(value, 0.0))).x;",
        }],
    },
    Fault {
        name: "swapped strides",
        effect: "average pooling swaps the vertical and the horizontal stride: wrong if these differ",
        kernels: &["avg_pool"],
        edits: &[
            Edit {
                within: "// forward:  y[n, o] = Σ_{i in window o} x[n, i] / divisor(o)",
                find: "sliding(oy * STRIDE_Y - BEFORE_Y",
                replace: "sliding(oy * STRIDE_X - BEFORE_Y",
            },
            Edit {
                within: "// forward:  y[n, o] = Σ_{i in window o} x[n, i] / divisor(o)",
                find: "sliding(ox * STRIDE_X - BEFORE_X",
                replace: "sliding(ox * STRIDE_Y - BEFORE_X",
            },
        ],
    },
    Fault {
        name: "seed off by one",
        effect: "random numbers are drawn with the next key: dropout drops other elements than the reference",
        kernels: &["lib/philox"],
        edits: &[Edit {
            within: "fn philox_word(index: u32, step: u32, site: u32, key0: u32, key1: u32) -> u32 {",
            find: "vec2(key0, key1)).x;",
            replace: "vec2(key0 + 1u, key1)).x;",
        }],
    },
    Fault {
        name: "log for log1p",
        effect: "log1p(u) is log(1 + u), also in softplus and the cross-entropies: digits are lost for u much \
                 smaller than 1",
        kernels: &["lib/special"],
        edits: &[Edit {
            within: "fn special_log1p(u: f32) -> f32 {",
            find: "    return select(log(1.0 + u), series, u == near);",
            replace: "    return log(1.0 + u);",
        }],
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the name and text of every shader of the repository.
    fn shaders() -> Vec<(String, String)> {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shaders");
        let mut shaders = vec![];
        for (folder, prefix) in [(root.clone(), ""), (root.join("lib"), "lib/")] {
            for entry in std::fs::read_dir(folder).expect("the folder of shaders").flatten() {
                let name = entry.file_name().into_string().expect("a plain name");
                if let Some(stem) = name.strip_suffix(".wgsl") {
                    let text = std::fs::read_to_string(entry.path()).expect("a shader");
                    shaders.push((format!("{prefix}{stem}"), text));
                }
            }
        }
        shaders
    }

    #[test]
    fn every_fault_is_in_exactly_its_kernels() {
        let shaders = shaders();
        for fault in faults() {
            for (name, text) in &shaders {
                // Include the files of `shaders/lib` that the shader's opening comment names.
                let needed = shaders.iter().filter(|(part, _)| part != name && text.contains(&format!("{part}.wgsl")));
                let parts: Vec<_> = needed.filter(|(part, _)| part.starts_with("lib/")).collect();
                let whole = parts.iter().fold(text.clone(), |whole, (_, part)| format!("{whole}\n{part}"));
                let faulty = fault.in_kernel(&Kernel::generated(name.clone(), whole)).expect("the lines occur once");
                let edited =
                    fault.edits.iter().any(|edit| faulty.as_ref().is_some_and(|k| k.source().contains(edit.replace)));
                // The matmul kernels share a file that their opening comments do not name, so it was not included
                // above. A fault in that file is therefore found in the file itself, but not in the kernels.
                let mut files = std::iter::once(name).chain(parts.iter().map(|(part, _)| part));
                let named = files.any(|name| fault.kernels.contains(&name.as_str())) && !name.starts_with("matmul_");
                assert_eq!(edited, named, "{} in {name}", fault.name);
                assert!(faulty.is_none_or(|kernel| !kernel.is_trusted()), "the faulty kernel has runtime checks");
            }
        }
    }

    #[test]
    fn a_kernel_that_has_changed_is_an_error() {
        let fault = Fault::named("log-for-log1p").expect("words may be joined");
        let changed = Kernel::generated("mine", "fn special_log1p(u: f32) -> f32 {\n    return u;\n}".into());
        let error = fault.in_kernel(&changed).expect_err("nothing to replace").to_string();
        assert!(
            error.contains("kernel `mine`: the lines that the fault `log for log1p` replaces occur 0 times"),
            "{error}"
        );
        let unknown = Fault::named("gremlin").expect_err("no such fault").to_string();
        assert!(unknown.starts_with("there is no fault `gremlin`; there are `wrong sign`, "), "{unknown}");
    }
}
