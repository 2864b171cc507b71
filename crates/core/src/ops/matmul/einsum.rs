//! Einstein summation (`einsum`) and batched matrix products.

use std::collections::BTreeMap;

use crate::{InvalidArgument, Shape, Tensor};

/// Tensor whose axes have labels.
struct Named {
    tensor: Tensor,
    labels: Vec<char>,
}

/// First of the private-use characters that serve as labels of the axes covered by `...`, counted from the last
/// axis.
const ELLIPSIS: char = '\u{e000}';

fn ellipsis(axis_from_end: usize) -> char {
    u32::try_from(axis_from_end).ok().and_then(|i| char::from_u32(u32::from(ELLIPSIS) + i)).unwrap_or(ELLIPSIS)
}

/// Returns the labels of one term, in which `...` covers `hidden` axes.
fn labels(term: &str, hidden: usize) -> Result<Vec<char>, InvalidArgument> {
    let mut labels = vec![];
    let mut rest = term.chars();
    while let Some(c) = rest.next() {
        match c {
            ' ' => {}
            '.' if rest.as_str().starts_with("..") => {
                rest.nth(1);
                labels.extend((0..hidden).rev().map(ellipsis));
            }
            c if c.is_ascii_alphabetic() => labels.push(c),
            c => return Err(InvalidArgument::new(format!("`{c}` in `{term}` is neither a letter nor `...`"))),
        }
    }
    let repeated = labels.iter().enumerate().find(|(i, label)| labels[..*i].contains(label));
    match repeated {
        Some((_, label)) if *label >= ELLIPSIS => Err(InvalidArgument::new(format!("`...` occurs twice in `{term}`"))),
        Some((_, label)) => {
            Err(InvalidArgument::new(format!("`{label}` occurs twice in `{term}`: diagonals are not supported"))
                .fix("take the diagonal with `gather` first"))
        }
        None => Ok(labels),
    }
}

/// Parsed equation: the labels of each tensor and of the result, and the size of each label.
struct Equation {
    inputs: Vec<Vec<char>>,
    output: Vec<char>,
    sizes: BTreeMap<char, usize>,
}

impl Equation {
    fn new(equation: &str, shapes: &[Shape]) -> Result<Self, InvalidArgument> {
        let (terms, result) = match equation.split_once("->") {
            Some((terms, result)) => (terms, Some(result)),
            None => (equation, None),
        };
        let terms: Vec<_> = terms.split(',').collect();
        if terms.len() != shapes.len() {
            let (names, given) = (terms.len(), shapes.len());
            return Err(InvalidArgument::new(format!("`{equation}` names {names} tensors, but there are {given}")));
        }
        let mut inputs = vec![];
        let mut sizes = BTreeMap::new();
        let mut widest = 0;
        for (term, shape) in terms.iter().zip(shapes) {
            let letters = labels(term, 0)?.len();
            let open = term.contains("...");
            let hidden = shape.rank().saturating_sub(letters);
            if letters > shape.rank() || (hidden > 0 && !open) {
                let axes = shape.rank();
                return Err(InvalidArgument::new(format!(
                    "`{}` names {letters} axes, {shape} has {axes}",
                    term.trim()
                ))
                .fix("`...` covers axes without names"));
            }
            widest = widest.max(if open { hidden } else { 0 });
            let named = labels(term, hidden)?;
            for (&label, &size) in named.iter().zip(shape.dims()) {
                let known = sizes.entry(label).or_insert(size);
                if *known == 1 {
                    *known = size;
                } else if size != *known && size != 1 {
                    let name = if label < ELLIPSIS { format!("`{label}`") } else { "an axis of `...`".into() };
                    return Err(InvalidArgument::new(format!("{name} is {known} in one tensor and {size} in another"))
                        .fix("sizes of one name must be equal or 1"));
                }
            }
            inputs.push(named);
        }
        let output = if let Some(result) = result {
            labels(result, widest)?
        } else {
            // Without an arrow, the result has the axes of `...`, then the letters that occur once, in
            // alphabetical order.
            let once = |label: &char| inputs.iter().flatten().filter(|other| *other == label).count() == 1;
            let letters = sizes.keys().copied().filter(|label| *label < ELLIPSIS && once(label));
            (0..widest).rev().map(ellipsis).chain(letters).collect()
        };
        if let Some(label) = output.iter().find(|label| !sizes.contains_key(label)) {
            return Err(InvalidArgument::new(format!("`{label}` of the result occurs in no input of `{equation}`")));
        }
        Ok(Self { inputs, output, sizes })
    }

    fn size(&self, labels: &[char]) -> usize {
        labels.iter().map(|label| self.sizes[label]).product()
    }

    fn dims(&self, labels: &[char]) -> Vec<usize> {
        labels.iter().map(|label| self.sizes[label]).collect()
    }

    /// Drops the axes of size 1 whose label has a larger size in another tensor, because these axes broadcast.
    fn plain(&self, tensor: &Tensor, labels: &[char]) -> Named {
        let dims = tensor.shape();
        let says = |(label, size): &(&char, &usize)| **size == self.sizes[*label];
        let (labels, kept): (Vec<char>, Vec<usize>) = labels.iter().zip(dims.dims()).filter(says).unzip();
        Named { tensor: tensor.reshape(kept), labels }
    }
}

impl Named {
    /// Returns the tensor with its axes in the order of `labels`, a permutation of the tensor's labels.
    #[track_caller]
    fn ordered(&self, labels: &[char]) -> Tensor {
        let place = |label| self.labels.iter().position(|own| own == label).unwrap_or(0).cast_signed();
        self.tensor.permute(&labels.iter().map(place).collect::<Vec<_>>())
    }

    /// Sums over the axes whose labels are not `needed`.
    #[track_caller]
    fn reduced(self, needed: impl Fn(&char) -> bool) -> Self {
        let axes: Vec<_> = (0..self.labels.len()).filter(|&axis| !needed(&self.labels[axis])).collect();
        let labels: Vec<_> = self.labels.iter().copied().filter(needed).collect();
        let dims = self.tensor.shape();
        let kept: Vec<_> = (0..dims.rank()).filter(|axis| !axes.contains(axis)).map(|axis| dims.dims()[axis]).collect();
        Self { tensor: self.tensor.sum_keep(&axes).reshape(kept), labels }
    }

    /// Multiplies by another tensor, and sums over the labels that are not needed `later`.
    #[track_caller]
    fn times(self, other: Self, parsed: &Equation, later: impl Fn(&char) -> bool) -> Self {
        let a = self.reduced(|label| other.labels.contains(label) || later(label));
        let b = other.reduced(|label| a.labels.contains(label) || later(label));
        let both = |label: &&char| b.labels.contains(label);
        let shared = a.labels.iter().copied().filter(|label| both(&label));
        let (batch, summed): (Vec<char>, Vec<char>) = shared.partition(&later);
        let rows: Vec<_> = a.labels.iter().copied().filter(|label| !both(&label)).collect();
        let columns: Vec<_> = b.labels.iter().copied().filter(|label| !a.labels.contains(label)).collect();
        let labels = [&batch[..], &rows, &columns].concat();
        if summed.is_empty() {
            let spread = |named: &Self, own: &[char], before: usize, after: usize| {
                let dims = parsed.dims(own);
                let (head, tail) = dims.split_at(batch.len());
                let dims = [head, &vec![1; before], tail, &vec![1; after]].concat();
                named.ordered(own).reshape(dims)
            };
            let left = spread(&a, &[&batch[..], &rows].concat(), 0, columns.len());
            let right = spread(&b, &[&batch[..], &columns].concat(), rows.len(), 0);
            return Self { tensor: left * right, labels };
        }
        let [count, m, k, n] = [&batch, &rows, &summed, &columns].map(|labels| parsed.size(labels));
        // An operand whose axes already have the transposed order is passed as a transpose, without a copy.
        let ta = a.labels == [&batch[..], &summed, &rows].concat();
        let left = if ta { a.tensor } else { a.ordered(&[&batch[..], &rows, &summed].concat()) };
        let tb = b.labels == [&batch[..], &columns, &summed].concat();
        let right = if tb { b.tensor } else { b.ordered(&[&batch[..], &summed, &columns].concat()) };
        let left = left.reshape(if ta { [count, k, m] } else { [count, m, k] });
        let right = right.reshape(if tb { [count, n, k] } else { [count, k, n] });
        Self { tensor: left.matmul_t(&right, ta, tb).reshape(parsed.dims(&labels)), labels }
    }
}

/// Sums products of tensors over axes named in Einstein notation: `einsum("bij,bjk->bik", &[&a, &b])`.
///
/// Before the arrow, the equation has one term per tensor with one letter per axis; after the arrow are the
/// letters of the result. The product is summed over letters that the result lacks. Without an arrow, the result
/// has the letters that occur once, in alphabetical order. `...` covers any number of axes, which broadcast. Axes
/// with the same letter must have equal sizes or size 1. Tensors are multiplied from left to right, with matrix
/// products where a letter is summed over.
///
/// Records an error in the graph, which `compile` reports, if a letter occurs twice in a term (a diagonal), the
/// terms do not match the tensors, or sizes differ. Equivalent: `torch.einsum`.
///
/// ```
/// use wgrad_core::{DType, Graph, Mode};
/// use wgrad_core::ops::einsum;
/// let graph = Graph::new(Mode::Evaluate);
/// let query = graph.input("query", [2, 7, 4, 16], DType::F32);
/// let key = graph.input("key", [2, 9, 4, 16], DType::F32);
/// assert_eq!(einsum("bqhd,bkhd->bhqk", &[&query, &key]).shape().dims(), [2, 4, 7, 9]);
/// assert!(!einsum("bqhd,bqhd->b", &[&query, &key]).is_valid());
/// ```
///
/// # Panics
/// If `tensors` is empty.
#[track_caller]
pub fn einsum(equation: &str, tensors: &[&Tensor]) -> Tensor {
    let [first, others @ ..] = tensors else { panic!("einsum needs at least one tensor") };
    if let Some(invalid) = tensors.iter().find(|tensor| !tensor.is_valid()) {
        return (*invalid).clone();
    }
    if let Some(tensor) = tensors.iter().find(|tensor| !tensor.dtype().is_float()) {
        let invalid = InvalidArgument::new(format!("only floats are multiplied, not {}", tensor.dtype()));
        return first.invalid("einsum", others, invalid.fix("cast with `.to_f32()`"));
    }
    let shapes: Vec<_> = tensors.iter().map(|tensor| tensor.shape()).collect();
    let parsed = match Equation::new(equation, &shapes) {
        Ok(parsed) => parsed,
        Err(invalid) => return first.invalid("einsum", others, invalid),
    };
    let _line = first.graph().line_of_caller();
    let mut product = parsed.plain(first, &parsed.inputs[0]);
    for (i, other) in others.iter().enumerate() {
        let rest = &parsed.inputs[i + 2..];
        let later = |label: &char| parsed.output.contains(label) || rest.iter().flatten().any(|other| other == label);
        product = product.times(parsed.plain(other, &parsed.inputs[i + 1]), &parsed, later);
    }
    let product = product.reduced(|label| parsed.output.contains(label));
    // No label of the result is lost: `plain` drops an axis only if another tensor has its label with a larger
    // size.
    product.ordered(&parsed.output)
}

/// Batched matrix products.
///
/// ```
/// use wgrad_core::{DType, Graph, Mode};
/// let graph = Graph::new(Mode::Evaluate);
/// let a = graph.input("a", [8, 2, 3], DType::F32);
/// let b = graph.input("b", [8, 3, 4], DType::F32);
/// assert_eq!(a.bmm(&b).shape().dims(), [8, 2, 4]);
/// ```
impl Tensor {
    /// Computes a batch of matrix products: `y[b] = x[b]·other[b]`.
    ///
    /// `self` is `[B, M, K]`, `other` `[B, K, N]`, the result `[B, M, N]`. Records an error in the graph, which
    /// `compile` reports, if a tensor does not have three axes or the batch sizes differ. Equivalent: `torch.bmm`.
    #[track_caller]
    pub fn bmm(&self, other: &Tensor) -> Tensor {
        let x = self;
        let (a, b) = (x.shape(), other.shape());
        if x.is_valid() && other.is_valid() && (a.rank() != 3 || b.rank() != 3 || a.dims()[0] != b.dims()[0]) {
            let invalid = InvalidArgument::new(format!("expected [B, M, K] and [B, K, N], not {a} and {b}"))
                .fix("`matmul` takes any batches that broadcast");
            return x.invalid("bmm", &[other], invalid);
        }
        x.matmul(other)
    }

    /// Adds a tensor to a batch of matrix products: `y = beta·x + alpha·a·b`.
    ///
    /// `a` is `[B, M, K]`, `b` `[B, K, N]`, and `self` broadcasts to `[B, M, N]`. PyTorch's default for `beta` and
    /// `alpha` is 1. With a `beta` of 0, `self` is not read. Equivalent: `torch.baddbmm`.
    #[track_caller]
    pub fn baddbmm(&self, a: &Tensor, b: &Tensor, beta: f64, alpha: f64) -> Tensor {
        let x = self;
        let product = a.bmm(b);
        let (has, wants) = (x.shape(), product.shape());
        if x.is_valid() && product.is_valid() && has.broadcast(&wants).as_ref() != Some(&wants) {
            let invalid = InvalidArgument::new(format!("{has} does not broadcast to the product's shape {wants}"));
            return x.invalid("baddbmm", &[a, b], invalid);
        }
        #[allow(clippy::float_cmp, reason = "by exactly 1 nothing changes")]
        let product = if alpha == 1.0 { product } else { product * alpha };
        // As in PyTorch, NaN and infinity in x have no effect if beta is 0.
        if beta == 0.0 { product } else { x * beta + product }
    }
}
