//! Comparison of a case's gradients with finite differences.

use wgrad_core::{Array, Audit, DType, Graph, Init, Kind, Mode, Params, Result, Tensor, audit};

use crate::case::Case;
use crate::harness::SEED;
use crate::trace::Trace;

impl Case {
    /// Runs the [gradient audit](wgrad_core::audit) (a comparison with finite differences) of the case in `f64`.
    /// Returns `None` if the case has no gradients.
    ///
    /// The `f32` inputs are the parameters; they are named `x0`, `x1` and so on. The loss is the sum of all
    /// outputs after multiplication by random cotangents, because many wrong gradient rules are correct for a
    /// plain sum.
    ///
    /// ```
    /// use wgrad_parity::{Case, Fill};
    /// let case = Case::new("exp", &[(&[3, 65], Fill::Normal)], |x| x[0].exp());
    /// let audit = case.check_gradients()?.expect("it has a gradient");
    /// assert!(audit.passes(), "{audit}");
    /// # Ok::<(), wgrad_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// Returns an error if the case's graph is invalid.
    pub fn check_gradients(&self) -> Result<Option<Audit>> {
        let drawn = Trace::new(self)?.feed(self, SEED)?;
        if drawn.cotangents.iter().all(Option::is_none) {
            return Ok(None);
        }
        let (params, graph) = (Params::seeded(0), Graph::new(Mode::Train));
        let (mut inputs, mut fed): (Vec<Tensor>, Vec<(Tensor, &Array)>) = (vec![], vec![]);
        for (i, array) in drawn.inputs.iter().enumerate() {
            let name = format!("x{i}");
            if array.dtype().is_float() && !self.constants.contains(&i) {
                let x = params.variable(&name, array.shape(), Kind::Parameter, Init::Constant(0.0));
                x.set(array.clone())?;
                inputs.push(graph.variable(&x));
            } else {
                let dtype = if array.dtype().is_float() { DType::F32 } else { DType::U32 };
                let x = graph.input(name, array.shape(), dtype);
                fed.push((x.clone(), array));
                inputs.push(x);
            }
        }
        let outputs = (self.build)(&inputs);
        let weighted = outputs
            .iter()
            .zip(drawn.cotangents)
            .filter_map(|(y, cotangent)| Some((y * graph.array(cotangent?)).sum_all()));
        let Some(loss) = weighted.reduce(|a, b| a + b) else { return Ok(None) };
        let fed: Vec<(&Tensor, &Array)> = fed.iter().map(|(x, array)| (x, *array)).collect();
        audit(&loss, &fed).map(Some)
    }
}
