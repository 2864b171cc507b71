//! Matrix products: one op with transposes and a bias, several kernels.

#![allow(clippy::many_single_char_names, reason = "the names that matrix products have")]

use wgrad_core::{
    Backward, Buffers, Dispatch, Grid, Kernel, Launch, Limits, Matrix, Misfit, Op, Operand, Real, Reference, Shape,
    Spec, Tensor, both, gemm,
};

use crate::bundled::bundled;

/// Matrix products.
pub trait MatmulOps {
    /// `y[…, r, c] = Σ_k a[…, r, k]·b[…, k, c]`.
    ///
    /// `self` is `[…, M, K]`, `other` `[…, K, N]`; the leading axes broadcast under `NumPy`'s rules. Fewer than two axes,
    /// inner sizes that differ and integers are errors. Source: `torch.matmul`, without its one-dimensional cases.
    #[must_use]
    #[track_caller]
    fn matmul(&self, other: &Tensor) -> Tensor;

    /// As [`Self::matmul`], of the operands' transposes: `ta` says that `self` is `[…, K, M]`, `tb` that `other` is
    /// `[…, N, K]`. Nothing is copied.
    #[must_use]
    #[track_caller]
    fn matmul_t(&self, other: &Tensor, ta: bool, tb: bool) -> Tensor;

    /// `y = x·wᵀ + bias` in one kernel, for `x` (this tensor) of `[…, in]`, `w` of `[out, in]` and `bias` of `[out]`.
    ///
    /// `y` is `[…, out]`. Sizes that differ are errors. Source: `torch.nn.functional.linear`.
    #[must_use]
    #[track_caller]
    fn linear(&self, w: &Tensor, bias: Option<&Tensor>) -> Tensor;
}

impl MatmulOps for Tensor {
    #[track_caller]
    fn matmul(&self, other: &Tensor) -> Tensor {
        self.matmul_t(other, false, false)
    }

    #[track_caller]
    fn matmul_t(&self, other: &Tensor, ta: bool, tb: bool) -> Tensor {
        let op = Matmul { ta, tb };
        let (a, b) = (self.spec(), other.spec());
        if a.shape.rank() == 2 && b.shape.rank() == 2 || !self.is_valid() || !other.is_valid() {
            return self.graph().apply(op, &[self, other]).get(0);
        }
        let y = match op.outputs(&[a.clone(), b.clone()]) {
            Ok(outputs) => outputs[0].shape.clone(),
            Err(misfit) => return self.misfit(op.name(), &[other], misfit),
        };
        let (a, b) = (a.shape.dims(), b.shape.dims());
        let lead = &y.dims()[..y.rank() - 2];
        let shared = |dims: &[usize]| dims[..dims.len() - 2].iter().product::<usize>() == 1;
        if shared(b) && !ta {
            // One matrix for all: the leading axes of `a` are more rows.
            let rows = self.reshape_to([a[..a.len() - 1].iter().product(), a[a.len() - 1]]);
            let matrix = other.reshape_to(&b[b.len() - 2..]);
            return self.graph().apply(op, &[&rows, &matrix]).get(0).reshape_to(y);
        }
        // One leading axis, of the common size or 1: what is shared is not copied.
        let batch = |x: &Tensor, dims: &[usize]| {
            let matrix = &dims[dims.len() - 2..];
            let x = if shared(dims) { x.clone() } else { x.broadcast_to([lead, matrix].concat()) };
            let count = if shared(dims) { 1 } else { lead.iter().product() };
            x.reshape_to([&[count], matrix].concat())
        };
        let product = self.graph().apply(op, &[&batch(self, a), &batch(other, b)]).get(0);
        product.reshape_to(y)
    }

    #[track_caller]
    fn linear(&self, w: &Tensor, bias: Option<&Tensor>) -> Tensor {
        let (x, weight) = (self.shape(), w.shape());
        let misfit = match (x.dims(), weight.dims()) {
            ([.., has], [_, takes]) if has == takes => None,
            ([.., has], [out, takes]) => Some(
                Misfit::new(format!("shapes cannot be multiplied ({x} and {})", Shape::from([*takes, *out])))
                    .fix(format!("set the layer's in_features to {has}: Linear::new(…, {has}, {out})"))
                    .fix(format!("or give it inputs whose last axis is {takes}")),
            ),
            ([], _) => Some(Misfit::new("a linear layer takes [..., in], not a single number")),
            _ => Some(Misfit::new(format!("the weight of a linear layer is [out, in], not {weight}"))),
        };
        let misfit = misfit.or_else(|| {
            let (bias, out) = (bias?.shape(), weight.dims()[0]);
            (bias.dims() != [out]).then(|| Misfit::new(format!("the bias must be [{out}], one per output, not {bias}")))
        });
        if let Some(misfit) = misfit {
            let mut others = vec![w];
            others.extend(bias);
            return self.misfit("linear", &others, misfit);
        }
        let lead = &x.dims()[..x.rank() - 1];
        let rows = self.reshape_to([lead.iter().product(), weight.dims()[1]]);
        let mut inputs = vec![&rows, w];
        inputs.extend(bias);
        let y = self.graph().apply(Matmul { ta: false, tb: true }, &inputs).get(0);
        y.reshape_to([lead, &weight.dims()[..1]].concat())
    }
}

/// `a·b` and maybe `+ bias`, of `a` and `b` as their flags transpose them. Kernels and reference take matrices, or
/// batches `[B, …]` of them of which one may have size 1; the shape rule is general, for the sake of its errors.
#[derive(Clone, Copy, Debug)]
struct Matmul {
    ta: bool,
    tb: bool,
}

/// Sizes of a product: `batch` matrices `[m, n]`, sums over `k`; and whether `a`, `b` differ from matrix to matrix.
#[derive(Clone, Copy)]
struct Sizes {
    batch: usize,
    m: usize,
    n: usize,
    k: usize,
    a_batched: bool,
    b_batched: bool,
}

/// Rows and columns as they enter the product.
fn matrix(shape: &Shape, transposed: bool) -> [usize; 2] {
    match shape.dims() {
        [.., r, c] if transposed => [*c, *r],
        [.., r, c] => [*r, *c],
        _ => unreachable!("the shape rule asks for two axes"),
    }
}

impl Matmul {
    fn sizes(self, a: &Shape, b: &Shape) -> Sizes {
        let ([m, k], [_, n]) = (matrix(a, self.ta), matrix(b, self.tb));
        let count = |shape: &Shape| shape.dims()[..shape.rank() - 2].iter().product::<usize>();
        let (a_count, b_count) = (count(a), count(b));
        let batch = if a_count == 1 { b_count } else { a_count };
        Sizes { batch, m, n, k, a_batched: a_count != 1, b_batched: b_count != 1 }
    }

    /// Whether `k` and whatever else is contiguous in memory are multiples of four.
    fn in_fours(self, Sizes { m, n, k, .. }: Sizes) -> bool {
        k > 0 && k.is_multiple_of(4) && (!self.ta || m.is_multiple_of(4)) && (self.tb || n.is_multiple_of(4))
    }

    fn run<F: Real>(self, mut at: Buffers<'_, F>) {
        let Sizes { batch, m, n, k, a_batched, b_batched } =
            self.sizes(&at.input_spec(0).shape, &at.input_spec(1).shape);
        let (a, b, y) = (at.float(0), at.float(1), at.out(0));
        let bias = (at.inputs() > 2).then(|| at.float(2));
        for (i, y) in y.chunks_exact_mut((m * n).max(1)).enumerate().take(batch) {
            let (a, b) = (&a[usize::from(a_batched) * i * m * k..], &b[usize::from(b_batched) * i * k * n..]);
            let a = if self.ta { Matrix::new(a, k, m).t() } else { Matrix::new(a, m, k) };
            let b = if self.tb { Matrix::new(b, n, k).t() } else { Matrix::new(b, k, n) };
            gemm(a, b, bias, y);
        }
    }
}

impl Op for Matmul {
    fn name(&self) -> &'static str {
        "matmul"
    }

    fn outputs(&self, inputs: &[Spec]) -> Result<Vec<Spec>, Misfit> {
        let (a, b) = (&inputs[0], &inputs[1]);
        if let Some(integer) = inputs.iter().find(|spec| !spec.dtype.is_float()) {
            return Err(Misfit::new(format!("only floats are multiplied, not {integer}")).fix("cast with `.to_f32()`"));
        }
        if a.shape.rank() < 2 || b.shape.rank() < 2 {
            return Err(Misfit::new(format!("matrices have two axes or more, not {} and {}", a.shape, b.shape))
                .fix("give a vector an axis of size 1: `.unsqueeze(0)` for a row, `.unsqueeze(1)` for a column"));
        }
        let [m, k] = matrix(&a.shape, self.ta);
        let [rows, n] = matrix(&b.shape, self.tb);
        let (a_lead, b_lead) = (&a.shape.dims()[..a.shape.rank() - 2], &b.shape.dims()[..b.shape.rank() - 2]);
        let shown = |lead: &[usize], matrix: [usize; 2]| Shape::from([lead, &matrix].concat());
        if k != rows {
            let (a, b) = (shown(a_lead, [m, k]), shown(b_lead, [rows, n]));
            let misfit = Misfit::new(format!("shapes cannot be multiplied ({a} and {b})"))
                .fix(format!("the inner sizes {k} and {rows} must be equal; for a Linear layer, in_features is {k}"));
            return Err(if k == n || m == rows { misfit.fix("or transpose one side: `matmul_t`") } else { misfit });
        }
        let Some(lead) = Shape::from(a_lead).broadcast(&Shape::from(b_lead)) else {
            return Err(Misfit::new(format!("batches {a_lead:?} and {b_lead:?} do not broadcast"))
                .fix("leading sizes are aligned from the right and must be equal or 1"));
        };
        if let Some(bias) = inputs.get(2).filter(|bias| bias.shape.dims() != [n]) {
            return Err(Misfit::new(format!("the bias must be [{n}], one per column, not {}", bias.shape)));
        }
        Ok(vec![Spec::f32(shown(lead.dims(), [m, n]))])
    }

    /// Products again: with `A`, `B` the operands as they enter, `dA = dY·Bᵀ` and `dB = Aᵀ·dY`.
    fn backward(&self, at: &mut Backward) {
        let Self { ta, tb } = *self;
        let fold = |gradient: Tensor, x: &Tensor| {
            let shared = gradient.shape() != x.shape();
            if shared { gradient.sum_keep(&[0]).reshape_to(x.shape()) } else { gradient }
        };
        at.give_with(0, |at| {
            let (dy, b) = (at.dy(), at.input(1));
            fold(if ta { b.matmul_t(&dy, tb, true) } else { dy.matmul_t(b, false, !tb) }, at.input(0))
        });
        at.give_with(1, |at| {
            let (dy, a) = (at.dy(), at.input(0));
            fold(if tb { dy.matmul_t(a, true, ta) } else { a.matmul_t(&dy, !ta, false) }, at.input(1))
        });
        if at.inputs() > 2 {
            at.give_with(2, |at| {
                let rows: Vec<_> = (0..at.dy().shape().rank() - 1).collect();
                at.dy().sum_keep(&rows).reshape_to(at.input(2).shape())
            });
        }
    }

    fn reference(&self, at: Reference<'_>) {
        both!(at, buffers => self.run(buffers));
    }

    fn launch(&self, at: &mut Launch<'_>) {
        let sizes = self.sizes(&at.inputs[0].shape, &at.inputs[1].shape);
        let Sizes { batch, m, n, k, a_batched, b_batched } = sizes;
        if batch * m * n == 0 {
            return;
        }
        let fours = self.in_fours(sizes);
        let variant = Variant::choose(sizes, fours, at.limits);
        let (tiles_m, tiles_n) = (m.div_ceil(variant.block[0]), n.div_ceil(variant.block[1]));
        let (parts, length) = split(k, batch * tiles_m * tiles_n);
        let biased = at.inputs.len() > 2;
        let to = if parts == 1 { Operand::Output(0) } else { at.scratch(Spec::f32([batch * parts * m * n])) };
        let tiles = tiles_m * tiles_n;
        let all = tiles * batch * parts;
        let strides = |transposed: bool, rows: usize, columns: usize| if transposed { (1, rows) } else { (columns, 1) };
        let (a_row, a_column) = strides(self.ta, m, k);
        let (b_row, b_column) = strides(self.tb, k, n);
        let mut product =
            Dispatch::new(variant.kernel(*self, biased && parts == 1), "forward", Grid::Groups([all, 1, 1]))
                .bind("a", Operand::Input(0))
                .bind("b", Operand::Input(1))
                .bind("y", to)
                .param("m", m)
                .param("n", n)
                .param("k", k)
                .param("a_row", a_row)
                .param("a_column", a_column)
                .param("a_matrix", usize::from(a_batched) * m * k)
                .param("b_row", b_row)
                .param("b_column", b_column)
                .param("b_matrix", usize::from(b_batched) * k * n)
                .param("parts", parts)
                .param("length", length)
                .param("tiles_n", tiles_n)
                .param("tiles", tiles)
                .param("all", all);
        if biased && parts == 1 {
            product = product.bind("bias", Operand::Input(2));
        }
        at.dispatch(product);
        if parts > 1 {
            let source = include_str!("../../../../shaders/matmul_sum.wgsl");
            let entry = if biased { "forward_biased" } else { "forward" };
            let mut sum = Dispatch::new(
                bundled(Kernel::new("matmul_sum", &[source])),
                entry,
                Grid::Threads([batch * m * n, 1, 1]),
            )
            .bind("partial", to)
            .bind("y", Operand::Output(0))
            .param("elements", batch * m * n)
            .param("size", m * n)
            .param("parts", parts)
            .param("n", n);
            if biased {
                sum = sum.bind("bias", Operand::Input(2));
            }
            at.dispatch(sum);
        }
    }
}

/// Into how many parts to cut the sum, and how many terms each has (a multiple of 16, if there are several): a weight
/// gradient has few elements and a long sum, too little work for a GPU unless the sum is shared. Parts hold at least
/// 256 terms; together they make at most 128 tiles.
fn split(terms: usize, tiles: usize) -> (usize, usize) {
    match (terms / 256).min(128 / tiles.max(1)) {
        0 | 1 => (1, terms),
        parts => {
            let length = terms.div_ceil(parts).next_multiple_of(16);
            (terms.div_ceil(length), length)
        }
    }
}

/// A way to run the product: elements of a workgroup `block` (rows, columns and, if staged, terms of the sum) and
/// elements of a thread.
#[derive(Debug)]
struct Variant {
    name: &'static str,
    template: &'static str,
    block: [usize; 3],
    thread: [usize; 2],
}

const DIRECT: &str = include_str!("../../../../shaders/matmul_direct.wgsl");
const VECTOR: &str = include_str!("../../../../shaders/matmul_vector.wgsl");
const TILED: &str = include_str!("../../../../shaders/matmul_tiled.wgsl");

/// All variants; [`Variant::choose`] says when each one runs.
static VARIANTS: [Variant; 7] = [
    Variant { name: "matmul_direct_4x4", template: DIRECT, block: [32, 32, 1], thread: [4, 4] },
    Variant { name: "matmul_direct_8x8", template: DIRECT, block: [64, 64, 1], thread: [8, 8] },
    Variant { name: "matmul_vector_4x4", template: VECTOR, block: [32, 32, 4], thread: [4, 4] },
    Variant { name: "matmul_vector_8x8", template: VECTOR, block: [64, 64, 4], thread: [8, 8] },
    Variant { name: "matmul_tiled_32x32x8", template: TILED, block: [32, 32, 8], thread: [4, 4] },
    Variant { name: "matmul_tiled_64x64x16", template: TILED, block: [64, 64, 16], thread: [4, 4] },
    Variant { name: "matmul_tiled_128x64x16", template: TILED, block: [128, 64, 16], thread: [8, 4] },
];

impl Variant {
    /// Software adapters run a workgroup as a loop and pay dearly for barriers: direct, wide where there is enough to
    /// do, and by vec4s where all sizes are multiples of four. On a GPU, a sum too short to be worth staging is direct too; else the largest tile that still leaves some
    /// sixty workgroups.
    fn choose(sizes: Sizes, fours: bool, limits: &Limits) -> &'static Self {
        let Sizes { batch, m, n, k, .. } = sizes;
        let [direct, wide, vector, wide_vector, small, medium, large] = &VARIANTS;
        let tiles = |variant: &Self| batch * m.div_ceil(variant.block[0]) * n.div_ceil(variant.block[1]);
        if limits.software {
            return match (m > 32 && n > 32, fours) {
                (false, false) => direct,
                (true, false) => wide,
                (false, true) => vector,
                (true, true) => wide_vector,
            };
        }
        if k < 8 || limits.invocations < 256 || limits.workgroup_bytes < 16 << 10 {
            direct
        } else if tiles(large) >= 64 {
            large
        } else if tiles(medium) >= 64 {
            medium
        } else {
            small
        }
    }

    fn kernel(&self, of: Matmul, biased: bool) -> Kernel {
        let [bm, bn, bk] = self.block;
        let [tm, tn] = self.thread;
        let constants = [
            ("BM", format!("{bm}u")),
            ("BN", format!("{bn}u")),
            ("BK", format!("{bk}u")),
            ("TM", format!("{tm}u")),
            ("TN", format!("{tn}u")),
            ("A_ALONG_K", (!of.ta).to_string()),
            ("B_ALONG_K", of.tb.to_string()),
        ];
        let shared = only_if(include_str!("../../../../shaders/lib/matmul.wgsl"), "biased", biased);
        let body = repeat(&unroll(&set(self.template, &constants), bk), [tm / 4, tn / 4])
            .replace("@workgroup_size(256)", &format!("@workgroup_size({})", (bm / tm) * (bn / tn)));
        // Only the vec4 template differs by transposes; for the others they are strides.
        let flags = match (self.template == VECTOR, of.ta, of.tb) {
            (false, ..) => "",
            (true, false, false) => "_nn",
            (true, false, true) => "_nt",
            (true, true, false) => "_tn",
            (true, true, true) => "_tt",
        };
        let name = format!("{}{flags}{}", self.name, if biased { "_biased" } else { "" });
        bundled(Kernel::generated(name, format!("{shared}\n{body}")))
    }
}

/// The lines of `source` without those marked `// if <flag>`, unless `keep`.
fn only_if(source: &str, flag: &str, keep: bool) -> String {
    let mark = format!("// if {flag}");
    source.lines().filter(|line| keep || !line.ends_with(&mark)).collect::<Vec<_>>().join("\n")
}

/// The lines of `source` with the constants `const NAME = …` set.
fn set(source: &str, constants: &[(&str, String)]) -> String {
    let line = |line: &str| {
        let known = constants.iter().find(|(name, _)| line.starts_with(&format!("const {name} = ")));
        known.map_or_else(|| line.to_owned(), |(name, value)| format!("const {name} = {value};"))
    };
    source.lines().map(line).collect::<Vec<_>>().join("\n")
}

/// The lines of `source` with the loop `for (var <name> = … { // unroll` written out `times` times.
fn unroll(source: &str, times: usize) -> String {
    let lines: Vec<_> = source.lines().collect();
    let Some(start) = lines.iter().position(|line| line.ends_with("{ // unroll")) else { return lines.join("\n") };
    let name = lines[start].split_whitespace().nth(2).expect("the loop's variable");
    let indent = lines[start].len() - lines[start].trim_start().len();
    let close = format!("{}}}", " ".repeat(indent));
    let end = start + lines[start..].iter().position(|line| *line == close).expect("the loop is closed");
    let mut out: Vec<_> = lines[..start].iter().map(ToString::to_string).collect();
    for time in 0..times {
        out.push(format!("{}{{", " ".repeat(indent)));
        out.push(format!("{}const {name} = {time}u;", " ".repeat(indent + 4)));
        out.extend(lines[start + 1..=end].iter().map(ToString::to_string));
    }
    out.extend(lines[end + 1..].iter().map(ToString::to_string));
    out.join("\n")
}

/// The lines of `source`, those that name `i0` or `j0` once per number below their count.
fn repeat(source: &str, [rows, columns]: [usize; 2]) -> String {
    let mut out = Vec::new();
    for line in source.lines() {
        let comment = line.trim_start().starts_with("//");
        let times = |name: &str, count: usize| if !comment && line.contains(name) { count } else { 1 };
        for i in 0..times("i0", rows) {
            for j in 0..times("j0", columns) {
                out.push(line.replace("i0", &format!("i{i}")).replace("j0", &format!("j{j}")));
            }
        }
    }
    out.join("\n")
}
