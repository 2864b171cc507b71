//! Kernels of matrix products: the list of variants, the choice of a variant for a product, and the generator of
//! the kernel source from the templates in `shaders/`.

use crate::{Kernel, Limits};

use crate::op::iterations;
use crate::op::template::Template;

/// Sizes of a product (`batch` matrices `[m, n]`, whose elements are sums of `k` terms) and layout of its
/// operands.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "two facts about each operand")]
pub(crate) struct Product {
    pub batch: usize,
    pub m: usize,
    pub n: usize,
    pub k: usize,
    /// `a` is stored transposed.
    pub ta: bool,
    /// `b` is stored transposed.
    pub tb: bool,
    /// `a` has one matrix per product, not a single matrix for all products.
    pub a_batched: bool,
    /// `b` has one matrix per product, not a single matrix for all products.
    pub b_batched: bool,
}

impl Product {
    /// Returns the tuning key: products with equal keys use the same variant.
    pub fn tuning_key(&self) -> String {
        let Self { batch, m, n, k, ta, tb, .. } = *self;
        let letter = |transposed| if transposed { 't' } else { 'n' };
        let batch = if batch == 1 { String::new() } else { format!("{batch}x") };
        format!("matmul {batch}{m}x{k}x{n} {}{}", letter(ta), letter(tb))
    }

    /// Returns how many elements one load reads from `a` and from `b`: a divisor of the length of the contiguous
    /// axis.
    fn widths(&self) -> [usize; 2] {
        let width = |contiguous: usize| [4, 2].into_iter().find(|&w| contiguous.is_multiple_of(w)).unwrap_or(1);
        [width(if self.ta { self.m } else { self.k }), width(if self.tb { self.k } else { self.n })]
    }

    /// Returns the number of partial sums into which the sum over `k` is split, and their length (a multiple of 16
    /// if there are several).
    ///
    /// A weight gradient has few elements and long sums: without the split it would keep only a fraction of a GPU
    /// busy. A partial sum has at least 256 terms, and there are at most `tiles` partial sums. If a thread's loop
    /// would become too long, there are more, shorter partial sums.
    fn split(&self, tiles: usize) -> (usize, usize) {
        let needed = self.k.div_ceil(LONGEST);
        match (self.k / 256).min(tiles).max(needed) {
            0 | 1 => (1, self.k),
            parts => {
                let length = self.k.div_ceil(parts).next_multiple_of(16);
                (self.k.div_ceil(length), length)
            }
        }
    }
}

/// Largest number of terms that one thread adds, with four terms per iteration.
const LONGEST: usize = 200_000;
const _: () = assert!(iterations::fits(LONGEST / 4));

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    Direct,
    Tree,
    Tiled,
}

impl Family {
    fn source(self) -> &'static str {
        match self {
            Self::Direct => wgrad_shaders::MATMUL_DIRECT,
            Self::Tree => wgrad_shaders::MATMUL_TREE,
            Self::Tiled => wgrad_shaders::MATMUL_TILED,
        }
    }
}

/// Kernel variant: elements of y per workgroup (`block`), terms staged in workgroup memory at once (`slab`, 0 for
/// none), and elements per thread.
#[derive(Debug)]
pub(crate) struct Variant {
    pub name: &'static str,
    family: Family,
    block: [usize; 2],
    slab: usize,
    thread: [usize; 2],
}

const fn direct(name: &'static str, block: [usize; 2], thread: [usize; 2]) -> Variant {
    Variant { name, family: Family::Direct, block, slab: 0, thread }
}

const fn tiled(name: &'static str, [bm, bn, slab]: [usize; 3], thread: [usize; 2]) -> Variant {
    Variant { name, family: Family::Tiled, block: [bm, bn], slab, thread }
}

/// All variants, among which [`Variant::choose`] selects: direct variants (without workgroup memory) with 8 to 64
/// threads per workgroup, a tree reduction for products with few elements, and tiled variants.
pub(crate) static VARIANTS: [Variant; 13] = [
    direct("matmul_direct_4x4", [32, 32], [4, 4]),
    direct("matmul_direct_4x4_few", [8, 16], [4, 4]),
    direct("matmul_direct_8x8", [16, 32], [8, 8]),
    direct("matmul_direct_8x16", [16, 64], [8, 16]),
    direct("matmul_direct_16x16", [32, 64], [16, 16]),
    direct("matmul_direct_8x4_tall", [64, 4], [8, 4]),
    direct("matmul_direct_16x8_tall", [128, 8], [16, 8]),
    direct("matmul_direct_4x16_wide", [4, 128], [4, 16]),
    Variant { name: "matmul_tree_4x4", family: Family::Tree, block: [4, 4], slab: 0, thread: [4, 4] },
    tiled("matmul_tiled_32x32x8", [32, 32, 8], [4, 4]),
    tiled("matmul_tiled_64x64x16", [64, 64, 16], [8, 8]),
    tiled("matmul_tiled_128x64x16", [128, 64, 16], [8, 8]),
    tiled("matmul_tiled_128x128x16", [128, 128, 16], [8, 8]),
];

impl Variant {
    /// Returns the number of tiles along rows and columns.
    pub fn tiles(&self, of: &Product) -> [usize; 2] {
        [of.m.div_ceil(self.block[0]), of.n.div_ceil(self.block[1])]
    }

    /// Returns the threads of a workgroup along rows and columns.
    fn sides(&self) -> [usize; 2] {
        if self.family == Family::Tree {
            return [1, 64];
        }
        [self.block[0] / self.thread[0], self.block[1] / self.thread[1]]
    }

    /// Returns whether a device with these limits can run the variant.
    pub fn fits(&self, limits: &Limits) -> bool {
        let [rows, columns] = self.sides();
        let staged = match self.family {
            Family::Direct => 0,
            Family::Tree => 64 * 16,
            Family::Tiled => (self.block[0] + self.block[1]) * self.slab,
        };
        rows * columns <= limits.invocations as usize && staged * size_of::<f32>() <= limits.workgroup_bytes as usize
    }

    /// Returns the number of partial sums into which the sum over `k` is split, and their length.
    pub fn split(&self, of: &Product, limits: &Limits) -> (usize, usize) {
        let [rows, columns] = self.tiles(of);
        // Number of workgroups that keep a device busy: one per CPU core, or one per multiprocessor of a large
        // GPU. The tree variant already divides the sum among its threads.
        let busy = match (self.family, limits.software) {
            (Family::Tree, _) => 1,
            (_, true) => 4,
            (_, false) => 128,
        };
        of.split(busy / (of.batch * rows * columns).max(1))
    }

    /// Returns the index in [`VARIANTS`] of the variant that is estimated to be fastest, without measurements.
    pub fn choose(of: &Product, limits: &Limits) -> usize {
        let known = |(_, variant): &(usize, &Self)| variant.fits(limits);
        let best = if limits.software {
            // Software adapters take a second to compile the variant with the largest tile, so it is selected only
            // by tuning. For small products, medium-sized tiles also take longer to compile than they save.
            let largest = match of.batch * of.m * of.n * of.k {
                0..0x4_0000 => 16,
                0x4_0000..0x80_0000 => 64,
                _ => 128,
            };
            let quick = |variant: &Self| variant.thread.iter().product::<usize>() <= largest;
            let direct = VARIANTS.iter().enumerate().filter(|(_, variant)| variant.family == Family::Direct);
            direct
                .filter(|(_, variant)| quick(variant))
                .filter(known)
                .min_by_key(|(_, variant)| variant.cycles(of, limits))
        } else {
            let wanted = Self::on_a_gpu(of);
            VARIANTS.iter().enumerate().filter(|(_, variant)| variant.name == wanted).find(known)
        };
        best.map_or(0, |(i, _)| i)
    }

    /// Returns the name of the variant that is estimated to be fastest on a GPU. Short sums, for which workgroup
    /// memory is not worth while, use a direct variant. Products with few elements, which would leave most of the
    /// GPU idle, use the tree. All others use the largest tile that yields about one workgroup for each of a
    /// hundred multiprocessors.
    fn on_a_gpu(of: &Product) -> &'static str {
        let enough = |variant: &&Self| variant.tiles(of).iter().product::<usize>() * of.batch >= 96;
        if of.k < 16 {
            return "matmul_direct_4x4";
        }
        if of.k >= 64 && (of.m.min(of.n) <= 8 || of.batch * of.m * of.n <= 1 << 14) {
            return "matmul_tree_4x4";
        }
        let tiled = || VARIANTS.iter().filter(|variant| variant.family == Family::Tiled);
        tiled().rev().find(enough).or(tiled().next()).map_or("", |variant| variant.name)
    }

    /// Estimates the run time of a direct variant on a software adapter with four cores, in cycles. Measured on
    /// llvmpipe: a load of four neighbouring elements is executed for eight vector lanes one after another, adding
    /// four terms takes 1.5 cycles per term, and storing an element takes about 180 cycles.
    fn cycles(&self, of: &Product, limits: &Limits) -> usize {
        let [tm, tn] = self.thread;
        let [a, b] = of.widths().map(|width| match width {
            4 => 83,
            2 => 110,
            _ => 160,
        });
        let (parts, length) = self.split(of, limits);
        let lanes = self.sides().iter().product::<usize>().div_ceil(8);
        let thread = length.div_ceil(4) * (tm * a + tn * b + tm * tn * 6) + tm * tn * 180;
        let groups = self.tiles(of).iter().product::<usize>() * of.batch * parts;
        groups.next_multiple_of(4) * (thread * lanes + 1000)
    }

    /// Generates the kernel for a product.
    pub fn kernel(&self, of: &Product, biased: bool) -> Kernel {
        let [bm, bn] = self.block;
        let [tm, tn] = self.thread;
        let [rows, columns] = self.sides();
        let whole = [of.m.is_multiple_of(bm), of.n.is_multiple_of(bn)];
        let ragged = !of.k.is_multiple_of(4);
        let operands = [!of.ta, of.tb].into_iter().zip(of.widths());
        let operands: Vec<(bool, usize)> = operands.collect();
        let shared = Template::new("lib/matmul", &[wgrad_shaders::lib::MATMUL]).flag("biased", biased);
        let mut source = vec![shared.set("WHOLE_M", whole[0]).set("WHOLE_N", whole[1]).write()];
        source.extend(
            ["a", "b"].iter().zip(&operands).map(|(name, &(along_k, width))| operand(name, along_k, width, ragged)),
        );
        let constants: &[(&str, usize)] = match self.family {
            Family::Direct => &[("TM", tm), ("TN", tn), ("SIDE_M", rows), ("SIDE_N", columns)],
            Family::Tree => &[],
            Family::Tiled => &[("BM", bm), ("BN", bn), ("BK", self.slab), ("TM", tm), ("TN", tn)],
        };
        let body = Template::new(self.name, &[self.family.source()]).set_all(constants).workgroup(rows * columns);
        let repeats = self.family != Family::Tree;
        source.push(if repeats { body.repeat("i0", tm / 4).repeat("j0", tn / 4) } else { body }.write());
        // The name identifies the generated source. It encodes the transpositions, the load widths, along which of
        // `m` and `n` the tiles fit exactly, whether `k` is not a multiple of 4, and whether there is a bias.
        let letter = |transposed| if transposed { 't' } else { 'n' };
        let mut name = format!("{}_{}{}_{}{}", self.name, letter(of.ta), letter(of.tb), operands[0].1, operands[1].1);
        for (flag, mark) in [(whole[0], "_rows"), (whole[1], "_columns"), (ragged, "_ragged"), (biased, "_biased")] {
            name.push_str(if flag { mark } else { "" });
        }
        Kernel::generated(name, source.join("\n")).bundled()
    }
}

/// Generates the WGSL load functions of the operand `a` or `b`.
fn operand(name: &str, along_k: bool, width: usize, ragged: bool) -> String {
    let load = match width {
        4 => wgrad_shaders::lib::MATMUL_BY_4,
        2 => wgrad_shaders::lib::MATMUL_BY_2,
        _ => wgrad_shaders::lib::MATMUL_BY_1,
    };
    let template = Template::new("lib/matmul_operand", &[load, wgrad_shaders::lib::MATMUL_OPERAND])
        .set("OPERAND_ALONG_K", along_k)
        .set("OPERAND_RAGGED", ragged)
        .set("OPERAND_WIDTH", width);
    let template = if name == "b" {
        template.replace("@binding(0)", "@binding(1)").replace("params.m;", "params.n;").replace("WHOLE_M", "WHOLE_N")
    } else {
        template
    };
    template.replace("operand", name).replace("OPERAND", name.to_uppercase()).write()
}
