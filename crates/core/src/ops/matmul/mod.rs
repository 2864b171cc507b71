//! Matrix products: one op with optionally transposed operands and an optional bias, for which there are several
//! kernels.

pub(crate) mod einsum;
mod variants;

use crate::{
    Accuracy, Backward, Buffers, Dispatch, Grid, InvalidArgument, Launch, Matrix, Op, Operand, Real, Reference, Shape,
    Spec, Tensor, both, gemm,
};

use crate::ops::reduce::parts::{Bias, sum_parts};
use variants::{Product, VARIANTS, Variant};

/// Matrix products.
impl Tensor {
    /// Computes the matrix product of two tensors: `y[…, r, c] = Σ_k self[…, r, k]·other[…, k, c]`.
    ///
    /// `self` is `[…, M, K]`, `other` `[…, K, N]`, the result `[…, M, N]`; the leading axes broadcast under
    /// NumPy's rules. A vector on the left counts as a row and a vector on the right as a column. The result lacks
    /// the added axis, so that the product of two vectors is their inner product.
    ///
    /// Records an error in the graph, which `compile` reports, if an operand is a scalar or contains integers, or
    /// the inner sizes differ. Equivalent: `torch.matmul`.
    #[track_caller]
    pub fn matmul(&self, other: &Tensor) -> Tensor {
        let (a, b) = (self.shape(), other.shape());
        let (a, b) = (a.dims(), b.dims());
        if a.is_empty() || b.is_empty() || (a.len() > 1 && b.len() > 1) {
            return self.matmul_t(other, false, false);
        }
        let row = if a.len() == 1 { self.reshape([1, a[0]]) } else { self.clone() };
        let column = if b.len() == 1 { other.reshape([b[0], 1]) } else { other.clone() };
        let y = row.matmul_t(&column, false, false);
        if !y.is_valid() {
            return y;
        }
        let mut dims = y.shape().dims().to_vec();
        if b.len() == 1 {
            dims.pop();
        }
        if a.len() == 1 {
            dims.remove(b.len().max(2) - 2);
        }
        y.reshape(dims)
    }

    /// Computes [`Self::matmul`] of operands that may be stored transposed, without copying them.
    ///
    /// If `ta`, `self` is `[…, K, M]`; if `tb`, `other` is `[…, N, K]`. Both tensors need two axes or more.
    #[track_caller]
    pub fn matmul_t(&self, other: &Tensor, ta: bool, tb: bool) -> Tensor {
        let _line = self.graph().line_of_caller();
        let op = Matmul { ta, tb };
        let (a, b) = (self.spec(), other.spec());
        if a.shape.rank() == 2 && b.shape.rank() == 2 || !self.is_valid() || !other.is_valid() {
            return self.graph().apply(op, &[self, other]).get(0);
        }
        let y = match op.outputs(&[a.clone(), b.clone()]) {
            Ok(outputs) => outputs[0].shape.clone(),
            Err(invalid) => return self.invalid(op.name(), &[other], invalid),
        };
        let (a, b) = (a.shape.dims(), b.shape.dims());
        let lead = &y.dims()[..y.rank() - 2];
        let shared = |dims: &[usize]| dims[..dims.len() - 2].iter().product::<usize>() == 1;
        if shared(b) && !ta {
            // All products share one matrix `b`, so the leading axes of `a` can be merged into its rows.
            let rows = self.reshape([a[..a.len() - 1].iter().product(), a[a.len() - 1]]);
            let matrix = other.reshape(&b[b.len() - 2..]);
            return self.graph().apply(op, &[&rows, &matrix]).get(0).reshape(y);
        }
        // Merges the leading axes into a single axis. Its size is the number of products, or 1 if all products
        // share the operand, which is then not copied.
        let batch = |x: &Tensor, dims: &[usize]| {
            let matrix = &dims[dims.len() - 2..];
            let x = if shared(dims) { x.clone() } else { x.expand([lead, matrix].concat()) };
            let count = if shared(dims) { 1 } else { lead.iter().product() };
            x.reshape([&[count], matrix].concat())
        };
        let product = self.graph().apply(op, &[&batch(self, a), &batch(other, b)]).get(0);
        product.reshape(y)
    }

    /// Applies a linear transformation in one kernel: `y = x·wᵀ + bias`.
    ///
    /// `self` is `x`, `[…, in]`; `w` is `[out, in]`, `bias` is `[out]`, and the result is `[…, out]`. Records an
    /// error in the graph, which `compile` reports, if sizes differ. Equivalent: `torch.nn.functional.linear`.
    #[track_caller]
    pub fn linear(&self, w: &Tensor, bias: Option<&Tensor>) -> Tensor {
        let (x, weight) = (self.shape(), w.shape());
        let invalid = match (x.dims(), weight.dims()) {
            ([.., has], [_, takes]) if has == takes => None,
            ([.., has], [out, takes]) => Some(
                InvalidArgument::new(format!("shapes cannot be multiplied ({x} and {})", Shape::from([*takes, *out])))
                    .fix(format!("set the layer's in_features to {has}: Linear::new(…, {has}, {out})"))
                    .fix(format!("or give it inputs whose last axis is {takes}")),
            ),
            ([], _) => Some(InvalidArgument::new("a linear layer takes [..., in], not a single number")),
            _ => Some(InvalidArgument::new(format!("the weight of a linear layer is [out, in], not {weight}"))),
        };
        let invalid = invalid.or_else(|| {
            let (bias, out) = (bias?.shape(), weight.dims()[0]);
            (bias.dims() != [out])
                .then(|| InvalidArgument::new(format!("the bias must be [{out}], one per output, not {bias}")))
        });
        if let Some(invalid) = invalid {
            let mut others = vec![w];
            others.extend(bias);
            return self.invalid("linear", &others, invalid);
        }
        let lead = &x.dims()[..x.rank() - 1];
        let rows = self.reshape([lead.iter().product(), weight.dims()[1]]);
        let mut inputs = vec![&rows, w];
        inputs.extend(bias);
        let y = self.graph().apply(Matmul { ta: false, tb: true }, &inputs).get(0);
        y.reshape([lead, &weight.dims()[..1]].concat())
    }
}

/// Matrix product `a·b (+ bias)`, where `ta` transposes `a` and `tb` transposes `b`. The kernels and the reference
/// accept matrices, or batches `[B, …]` of matrices, where the B of one operand may be 1. The shape rule accepts
/// any leading axes, for the sake of better error messages.
#[derive(Clone, Copy, Debug)]
struct Matmul {
    ta: bool,
    tb: bool,
}

/// Returns the names of the kernel variants of matrix products, for [`TuningChoices`](crate::TuningChoices):
/// `TuningChoices::set("matmul", name)` selects that variant for every product, where the device supports it.
pub fn matmul_variants() -> impl Iterator<Item = &'static str> {
    VARIANTS.iter().map(|variant| variant.name)
}

/// Returns the rows and columns of an operand after its transposition.
fn matrix(shape: &Shape, transposed: bool) -> [usize; 2] {
    match shape.dims() {
        [.., r, c] if transposed => [*c, *r],
        [.., r, c] => [*r, *c],
        _ => unreachable!("the shape rule asks for two axes"),
    }
}

impl Matmul {
    fn product(self, a: &Shape, b: &Shape) -> Product {
        let Self { ta, tb } = self;
        let ([m, k], [_, n]) = (matrix(a, ta), matrix(b, tb));
        let count = |shape: &Shape| shape.dims()[..shape.rank() - 2].iter().product::<usize>();
        let (a_count, b_count) = (count(a), count(b));
        let batch = if a_count == 1 { b_count } else { a_count };
        Product { batch, m, n, k, ta, tb, a_batched: a_count != 1, b_batched: b_count != 1 }
    }

    fn run<F: Real>(self, mut at: Buffers<'_, F>) {
        let Product { batch, m, n, k, a_batched, b_batched, .. } =
            self.product(&at.input_spec(0).shape, &at.input_spec(1).shape);
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

    fn outputs(&self, inputs: &[Spec]) -> Result<Vec<Spec>, InvalidArgument> {
        let (a, b) = (&inputs[0], &inputs[1]);
        if let Some(integer) = inputs.iter().find(|spec| !spec.dtype.is_float()) {
            return Err(
                InvalidArgument::new(format!("only floats are multiplied, not {integer}")).fix("cast with `.to_f32()`")
            );
        }
        if a.shape.rank() < 2 || b.shape.rank() < 2 {
            return Err(InvalidArgument::new(format!(
                "matrices have two axes or more, not {} and {}",
                a.shape, b.shape
            ))
            .fix("give a vector an axis of size 1: `.unsqueeze(0)` for a row, `.unsqueeze(1)` for a column"));
        }
        let [m, k] = matrix(&a.shape, self.ta);
        let [rows, n] = matrix(&b.shape, self.tb);
        let (a_lead, b_lead) = (&a.shape.dims()[..a.shape.rank() - 2], &b.shape.dims()[..b.shape.rank() - 2]);
        let shown = |lead: &[usize], matrix: [usize; 2]| Shape::from([lead, &matrix].concat());
        if k != rows {
            let (a, b) = (shown(a_lead, [m, k]), shown(b_lead, [rows, n]));
            let invalid = InvalidArgument::new(format!("shapes cannot be multiplied ({a} and {b})"))
                .fix(format!("the inner sizes {k} and {rows} must be equal; for a Linear layer, in_features is {k}"));
            return Err(if k == n || m == rows { invalid.fix("or transpose one side: `matmul_t`") } else { invalid });
        }
        let Some(lead) = Shape::from(a_lead).broadcast(&Shape::from(b_lead)) else {
            return Err(InvalidArgument::new(format!("batches {a_lead:?} and {b_lead:?} do not broadcast"))
                .fix("leading sizes are aligned from the right and must be equal or 1"));
        };
        if let Some(bias) = inputs.get(2).filter(|bias| bias.shape.dims() != [n]) {
            return Err(InvalidArgument::new(format!("the bias must be [{n}], one per column, not {}", bias.shape)));
        }
        Ok(vec![Spec::f32(shown(lead.dims(), [m, n]))])
    }

    /// Adds the gradients `dA = dY·Bᵀ` and `dB = Aᵀ·dY`, where A and B are the operands after transposition.
    fn backward(&self, at: &mut Backward) {
        let Self { ta, tb } = *self;
        let fold = |gradient: Tensor, x: &Tensor| {
            let shared = gradient.shape() != x.shape();
            if shared { gradient.sum_keep(&[0]).reshape(x.shape()) } else { gradient }
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
                at.dy().sum_keep(&rows).reshape(at.input(2).shape())
            });
        }
    }

    fn accuracy(&self, inputs: &[Spec]) -> Accuracy {
        Accuracy::new().terms(matrix(&inputs[0].shape, self.ta)[1])
    }

    fn reference(&self, at: Reference<'_>) {
        both!(at, buffers => self.run(buffers));
    }

    fn epilogues(&self) -> &'static [usize] {
        &[0]
    }

    fn launch(&self, at: &mut Launch<'_>) {
        let product = self.product(&at.inputs[0].shape, &at.inputs[1].shape);
        let Product { batch, m, n, k, a_batched, b_batched, .. } = product;
        if batch * m * n == 0 {
            return;
        }
        let fitting: Vec<&Variant> = VARIANTS.iter().filter(|variant| variant.fits(at.limits)).collect();
        let names: Vec<_> = fitting.iter().map(|variant| variant.name).collect();
        let default = Variant::choose(&product, at.limits);
        let default = names.iter().position(|name| *name == VARIANTS[default].name).unwrap_or(0);
        let variant = fitting[at.choose(&product.tuning_key(), &names, default)];
        let [tiles_m, tiles_n] = variant.tiles(&product);
        let (parts, length) = variant.split(&product, at.limits);
        let biased = at.inputs.len() > 2;
        let to = if parts == 1 { Operand::Output(0) } else { at.scratch(Spec::f32([batch * parts * m * n])) };
        let tiles = tiles_m * tiles_n;
        let all = tiles * batch * parts;
        let kernel = variant.kernel(&product, biased && parts == 1);
        let mut dispatch = Dispatch::new(kernel, "forward", Grid::Groups([all, 1, 1]))
            .bind("a", Operand::Input(0))
            .bind("b", Operand::Input(1))
            .bind("y", to)
            .param("m", m)
            .param("n", n)
            .param("k", k)
            .param("a_matrix", usize::from(a_batched) * m * k)
            .param("b_matrix", usize::from(b_batched) * k * n)
            .param("parts", parts)
            .param("length", length)
            .param("tiles_m", tiles_m)
            .param("tiles_n", tiles_n)
            .param("tiles", tiles)
            .param("all", all);
        if biased && parts == 1 {
            dispatch = dispatch.bind("bias", Operand::Input(2));
        }
        at.dispatch(dispatch);
        if parts > 1 {
            let bias = biased.then_some(Bias { from: Operand::Input(2), plane: 1, channels: n });
            sum_parts("matmul_sum", at, to, parts, [batch * m * n, m * n], bias);
        }
    }
}
