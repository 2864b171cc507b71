//! Random cases: a family of ops, a shape, a view and a range of values, all drawn from a seed.

#[allow(clippy::wildcard_imports, reason = "every family has a row here")]
use wgrad_core::ops::*;
use wgrad_core::{Stream, Tensor};

use crate::Case;
use crate::Values::{self, Below, Grid, Normal, Uniform};

/// Lengths at which kernels take another path, and ordinary ones.
const LENGTHS: [usize; 16] = [1, 2, 3, 4, 5, 7, 8, 13, 16, 31, 32, 33, 63, 64, 65, 96];
const LONG: [usize; 10] = [127, 128, 129, 255, 256, 257, 511, 513, 1023, 1025];
/// Elements of an input, at most: a case should take milliseconds.
const MOST: usize = 40_000;

type Unary = fn(&Tensor) -> Tensor;
type Binary = fn(&Tensor, &Tensor) -> Tensor;
type Reduction = fn(&Tensor, &[isize]) -> Tensor;

/// Case `number` of the random cases of a seed: the same on every machine.
///
/// ```
/// let again = wgrad_parity::fuzz(7, 3);
/// assert_eq!(wgrad_parity::fuzz(7, 3).name(), again.name());
/// ```
#[must_use]
pub fn fuzz(seed: u64, number: u64) -> Case {
    let mut draw = Draw(Stream::new(seed, number));
    let families: [fn(&mut Draw) -> Case; 16] = [
        functions,
        pairs,
        views,
        sums,
        extremes,
        products,
        linears,
        softmaxes,
        losses,
        batch_norms,
        row_norms,
        convolutions,
        pools,
        choices,
        orders,
        fused,
    ];
    let case = families[draw.0.below(families.len())](&mut draw);
    let name = format!("fuzz {seed}.{number}: {}", case.name());
    case.renamed(name)
}

struct Draw(Stream);

impl Draw {
    fn of<T: Copy>(&mut self, some: &[T]) -> T {
        some[self.0.below(some.len())]
    }

    fn coin(&mut self) -> bool {
        self.0.below(2) == 0
    }

    fn length(&mut self) -> usize {
        if self.0.below(4) == 0 { self.of(&LONG) } else { self.of(&LENGTHS) }
    }

    /// A shape of so many axes.
    fn shape(&mut self, rank: usize) -> Vec<usize> {
        let mut shape: Vec<usize> = (0..rank).map(|_| self.length()).collect();
        while shape.iter().product::<usize>() > MOST {
            let longest = (0..rank).max_by_key(|&i| shape[i]).unwrap_or(0);
            shape[longest] = shape[longest].div_ceil(3);
        }
        shape
    }

    fn any(&mut self) -> Vec<usize> {
        let rank = 1 + self.0.below(4);
        self.shape(rank)
    }

    fn axis(&mut self, shape: &[usize]) -> usize {
        self.0.below(shape.len())
    }

    fn values(&mut self) -> Values {
        self.of(&[Normal, Uniform(-6.0, 6.0), Uniform(-1e-3, 1e-3), Uniform(50.0, 60.0), Grid(0.5, 6)])
    }
}

fn functions(draw: &mut Draw) -> Case {
    let some: [(&str, Unary, f64); 18] = [
        ("exp", |x| x.exp(), 160.0),
        ("sigmoid", |x| x.sigmoid(), 160.0),
        ("tanh", |x| x.tanh(), 60.0),
        ("softplus", |x| x.softplus(), 160.0),
        ("log_sigmoid", |x| x.log_sigmoid(), 160.0),
        ("silu", |x| x.silu(), 160.0),
        ("gelu", |x| x.gelu(), 200.0),
        ("elu", |x| x.elu(1.5), 160.0),
        ("mish", |x| x.mish(), 400.0),
        ("relu", |x| x.relu(), 0.0),
        ("leaky_relu", |x| x.leaky_relu(0.1), 0.0),
        ("square", |x| x.square(), 0.0),
        ("abs", |x| x.abs(), 0.0),
        ("sin", |x| x.sin(), 16.0),
        ("cos", |x| x.cos(), 16.0),
        ("erf", |x| x.erf(), 32.0),
        // Of 1 + x², the logarithm of a small x would be that of rounding alone.
        ("log of 2 + x²", |x| (x.square() + 2.0).log(), 16.0),
        ("root of 1 + x²", |x| (x.square() + 1.0).sqrt(), 16.0),
    ];
    let (name, f, ulp) = draw.of(&some);
    let (shape, values) = (draw.any(), draw.values());
    Case::new(format!("{name} {shape:?} of {values:?}"), &[(&shape, values)], move |x| f(&x[0])).ulp(ulp).steps(2.0)
}

/// Two operands, of which one may be broadcast.
fn pairs(draw: &mut Draw) -> Case {
    let (a, values) = (draw.any(), draw.values());
    let mut b: Vec<usize> = a.iter().map(|&n| if draw.coin() { n } else { 1 }).collect();
    b.drain(..draw.0.below(a.len()));
    let some: [(&str, Binary, f64); 6] = [
        ("add", |x, y| x + y, 0.0),
        ("sub", |x, y| x - y, 0.0),
        ("mul", |x, y| x * y, 0.0),
        ("div", |x, y| x / (y.square() + 1.0), 16.0),
        ("maximum", |x, y| x.maximum(y), 0.0),
        ("select", |x, y| x.gt(y).where_cond(x, &(y * 2.0)), 0.0),
    ];
    let (name, f, ulp) = draw.of(&some);
    let terms = a.iter().product::<usize>() / b.iter().product::<usize>();
    let (first, second) = if draw.coin() { (0, 1) } else { (1, 0) };
    let inputs: &[(&[usize], Values)] = &[(&a, values), (&b, values)];
    Case::new(format!("{name} {a:?} {b:?} {first} of {values:?}"), inputs, move |x| f(&x[first], &x[second]))
        .terms(terms)
        .ulp(ulp)
        .steps(3.0)
}

/// A chain of views, which its reader folds into strides.
fn views(draw: &mut Draw) -> Case {
    let rank = 2 + draw.0.below(3);
    let shape = draw.shape(rank);
    let mut order: Vec<isize> = (0..rank.cast_signed()).collect();
    draw.0.shuffle(&mut order);
    let axis = draw.axis(&shape);
    let n = shape[order[axis].unsigned_abs()];
    let first = draw.0.below(n);
    let last = first + 1 + draw.0.below(n - first);
    let (flip, padded) = (draw.coin(), draw.coin());
    let name = format!("views {shape:?} by {order:?}, {first}..{last} of axis {axis}, flip {flip}, pad {padded}");
    Case::new(name, &[(&shape, Normal)], move |x| {
        let along = axis.cast_signed();
        let part = x[0].permute(&order).slice(along, first..last);
        let part = if flip { part.flip(&[along]) } else { part };
        let part = if padded { part.pad(along, 2, 1) } else { part };
        let flat = part.reshape([part.shape().numel()]);
        cat(&[&flat.square(), &flat], 0)
    })
    .terms(3)
}

fn axes_of(draw: &mut Draw, shape: &[usize]) -> (Vec<isize>, usize) {
    let axes: Vec<usize> = (0..shape.len()).filter(|_| draw.coin()).collect();
    let axes = if axes.is_empty() { vec![draw.axis(shape)] } else { axes };
    let terms = axes.iter().map(|&axis| shape[axis]).product();
    (axes.into_iter().map(usize::cast_signed).collect(), terms)
}

fn sums(draw: &mut Draw) -> Case {
    let (shape, values) = (draw.any(), draw.values());
    let (axes, terms) = axes_of(draw, &shape);
    let some: [(&str, Reduction); 5] = [
        ("sum", |x, axes| x.sum(axes)),
        ("mean", |x, axes| x.mean_keepdim(axes)),
        ("sum of squares", |x, axes| x.square().sum(axes)),
        ("cumsum", |x, axes| x.cumsum(axes[0])),
        ("logsumexp", |x, axes| x.logsumexp(axes)),
    ];
    let (name, f) = draw.of(&some);
    let name = format!("{name} {shape:?} over {axes:?} of {values:?}");
    Case::new(name, &[(&shape, values)], move |x| f(&x[0], &axes)).terms(terms).ulp(160.0).cancelling(16.0)
}

fn extremes(draw: &mut Draw) -> Case {
    let (shape, values) = (draw.any(), draw.values());
    let (axes, _) = axes_of(draw, &shape);
    let along = axes[0];
    let low = draw.coin();
    let name = format!("extremes {shape:?} over {axes:?}, lowest {low}, of {values:?}");
    Case::several(name, &[(&shape, values)], move |x| {
        let value = if low { x[0].amin(&axes) } else { x[0].amax_keepdim(&axes) };
        let (best, index) = if low { x[0].min_keepdim(along) } else { x[0].max(along) };
        vec![value, best, index, x[0].argmax(along)]
    })
    .ulp(4.0)
}

fn products(draw: &mut Draw) -> Case {
    let size = draw.shape(3);
    let [m, k, n] = [size[0], size[1], size[2]];
    let (ta, tb) = (draw.coin(), draw.coin());
    let batch = if draw.0.below(3) == 0 { vec![1 + draw.0.below(3)] } else { vec![] };
    let a = [&batch[..], &(if ta { [k, m] } else { [m, k] })].concat();
    let b = [&batch[..], &(if tb { [n, k] } else { [k, n] })].concat();
    Case::new(format!("matmul {a:?} {b:?} {ta} {tb}"), &[(&a, Normal), (&b, Normal)], move |x| {
        x[0].matmul_t(&x[1], ta, tb)
    })
    .terms(k.max(m).max(n))
}

fn linears(draw: &mut Draw) -> Case {
    let size = draw.shape(3);
    let [rows, inner, out] = [size[0], size[1], size[2]];
    let inputs: &[(&[usize], Values)] = &[(&[rows, inner], Normal), (&[out, inner], Normal), (&[out], Normal)];
    let name = format!("linear {rows}x{inner}x{out} and tanh");
    Case::new(name, inputs, |x| x[0].linear(&x[1], Some(&x[2])).tanh()).terms(rows.max(inner).max(out)).ulp(60.0)
}

fn softmaxes(draw: &mut Draw) -> Case {
    let (shape, values) = (draw.any(), draw.of(&[Normal, Uniform(-6.0, 6.0), Uniform(-80.0, 80.0), Grid(0.5, 3)]));
    let axis = draw.axis(&shape);
    let along = axis.cast_signed();
    let log = draw.coin();
    let name = format!("{} {shape:?} {axis} of {values:?}", if log { "log_softmax" } else { "softmax" });
    Case::new(name, &[(&shape, values)], move |x| if log { x[0].log_softmax(along) } else { x[0].softmax(along) })
        .terms(shape[axis])
        .ulp(200.0)
        .cancelling(32.0)
}

fn losses(draw: &mut Draw) -> Case {
    let rank = 1 + draw.0.below(3);
    let shape = draw.shape(rank);
    let classes = if rank == 1 { shape[0] } else { shape[1] };
    let targets: Vec<usize> = if rank == 1 { vec![] } else { [&shape[..1], &shape[2..]].concat() };
    let smoothing = draw.of(&[0.0, 0.1]);
    let name = format!("cross-entropy {shape:?} with smoothing {smoothing}");
    Case::new(name, &[(&shape, Uniform(-9.0, 9.0)), (&targets, Below(classes))], move |x| {
        x[0].softmax_cross_entropy(&x[1], None, smoothing, None).0
    })
    .terms(classes)
    .ulp(80.0)
    .cancelling(32.0)
}

fn batch_norms(draw: &mut Draw) -> Case {
    let rank = 2 + draw.0.below(3);
    let mut shape = draw.shape(rank);
    shape[0] += 3;
    let channels = shape[1];
    let inputs: &[(&[usize], Values)] =
        &[(&shape, Uniform(-2.0, 3.0)), (&[channels], Uniform(0.5, 2.0)), (&[channels], Normal)];
    let terms = shape.iter().product::<usize>() / channels;
    Case::several(format!("batch_norm {shape:?}"), inputs, |x| {
        let (y, mean, var) = x[0].batch_norm_train(Some(&x[1]), Some(&x[2]), 1e-3);
        vec![y, mean, var]
    })
    .gradients_of(&[0])
    .terms(terms)
    .ulp(16.0)
    // A few values of nearly the same size leave little of dy·g/σ, with σ down to 1/30.
    .cancelling(if terms < 16 { 256.0 } else { 16.0 })
}

fn row_norms(draw: &mut Draw) -> Case {
    let shape = draw.shape(2);
    let shape = vec![shape[0], shape[1] + 3];
    let row = shape[1];
    let rms = draw.coin();
    let inputs: &[(&[usize], Values)] = &[(&shape, Uniform(-2.0, 3.0)), (&[row], Uniform(0.5, 2.0))];
    let name = format!("{} {shape:?}", if rms { "rms_norm" } else { "layer_norm" });
    Case::new(name, inputs, move |x| {
        if rms { x[0].rms_norm(&[row], Some(&x[1]), 1e-3) } else { x[0].layer_norm(&[row], Some(&x[1]), None, 1e-3) }
    })
    .terms(row.max(shape[0]))
    .ulp(16.0)
    .cancelling(if row < 16 { 256.0 } else { 16.0 })
}

fn convolutions(draw: &mut Draw) -> Case {
    let (groups, batch) = (draw.of(&[1, 1, 1, 2, 3]), 1 + draw.0.below(3));
    let (inner, out) = (groups * draw.of(&[1, 2, 3, 8, 16]), groups * draw.of(&[1, 2, 4, 5, 16]));
    let kernel = [draw.of(&[1, 2, 3, 5]), draw.of(&[1, 2, 3, 5])];
    let (stride, dilation) = (1 + draw.0.below(3), 1 + draw.0.below(2));
    let image = kernel.map(|k| (k - 1) * dilation + 1 + draw.0.below(14));
    let padding = draw.0.below(3);
    let (x, weight) = ([batch, inner, image[0], image[1]], [out, inner / groups, kernel[0], kernel[1]]);
    let options = ConvOptions::<2>::new().stride(stride).dilation(dilation).padding(padding).groups(groups);
    let name = format!("conv2d {x:?} {weight:?} stride {stride} dilation {dilation} padding {padding} groups {groups}");
    let inputs: &[(&[usize], Values)] = &[(&x, Normal), (&weight, Normal), (&[out], Normal)];
    let taps = kernel[0] * kernel[1];
    let pixels = batch * (image[0] + 2 * padding) * (image[1] + 2 * padding);
    Case::new(name, inputs, move |x| x[0].conv2d(&x[1], Some(&x[2]), options))
        .terms((inner.max(out) * taps).max(pixels))
}

fn pools(draw: &mut Draw) -> Case {
    let kernel = [1 + draw.0.below(4), 1 + draw.0.below(4)];
    let stride = 1 + draw.0.below(3);
    let padding = draw.0.below(1 + kernel[0].min(kernel[1]) / 2);
    let ceil = draw.coin();
    let x = [1 + draw.0.below(3), draw.of(&[1, 3, 8]), kernel[0] + draw.0.below(12), kernel[1] + draw.0.below(12)];
    let largest = draw.coin();
    let name = format!(
        "{} {x:?} kernel {kernel:?} stride {stride} padding {padding} ceil {ceil}",
        if largest { "max_pool2d" } else { "avg_pool2d" }
    );
    Case::new(name, &[(&x, Normal)], move |x| {
        if largest {
            x[0].max_pool2d(MaxPool::new(kernel).stride(stride).padding(padding).ceil_mode(ceil))
        } else {
            x[0].avg_pool2d(AvgPool::new(kernel).stride(stride).padding(padding).ceil_mode(ceil))
        }
    })
    .terms(kernel[0] * kernel[1])
    .ulp(6.0)
}

/// By index.
fn choices(draw: &mut Draw) -> Case {
    let shape = draw.shape(2);
    let (n, m) = (shape[0], draw.length());
    if draw.coin() {
        let inputs: &[(&[usize], Values)] = &[(&shape, Normal), (&[m], Below(n))];
        return Case::new(format!("gather_rows {shape:?} by {m}"), inputs, |x| x[0].embedding(&x[1]).square())
            .terms(m);
    }
    let index = [m.min(MOST / shape[1].max(1)).max(1), shape[1]];
    let inputs: &[(&[usize], Values)] = &[(&shape, Normal), (&index, Below(n))];
    Case::new(format!("gather {shape:?} by {index:?}"), inputs, |x| x[0].gather(0, &x[1]).square()).terms(index[0])
}

fn orders(draw: &mut Draw) -> Case {
    let (shape, values) = (draw.any(), draw.of(&[Normal, Grid(0.5, 3)]));
    let (axis, down) = (draw.axis(&shape).cast_signed(), draw.coin());
    Case::several(format!("sort {shape:?} {axis} down {down} of {values:?}"), &[(&shape, values)], move |x| {
        let (sorted, index) = x[0].sort(axis, down);
        vec![sorted.square(), index]
    })
}

/// What runs in one kernel: an op with pointwise ops before and behind it.
fn fused(draw: &mut Draw) -> Case {
    let shape = draw.shape(2);
    let [rows, columns] = [shape[0], shape[1]];
    let out = draw.of(&LENGTHS);
    let inputs: &[(&[usize], Values)] =
        &[(&shape, Uniform(-1.0, 1.0)), (&[out, columns], Uniform(-0.5, 0.5)), (&[out], Normal), (&[rows, 1], Normal)];
    Case::new(format!("linear {rows}x{columns}x{out}, tanh, a scale per row, a mean"), inputs, |x| {
        (x[0].linear(&x[1], Some(&x[2])).tanh() * &x[3]).mean(&[0])
    })
    .terms(rows.max(columns).max(out) * 4)
    .ulp(80.0)
}
