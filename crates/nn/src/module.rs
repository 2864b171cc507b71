//! The trait [`Module`], which layers and models implement, and sequences of modules.

use std::fmt;
use std::panic::Location;

use wgrad_core::{Params, Tensor};

/// A layer or a model: computes an output tensor from an input tensor, by tracing ops onto the graph of the input;
/// PyTorch's `nn.Module`.
///
/// Every closure `|x: &Tensor| …` that returns a tensor is a module.
///
/// Error messages name the source line that called the layer or op. In your own model, that line is inside the
/// model's `forward`. For a layer inside a [`Sequential`], messages name the line that called the sequence, and
/// the layer's scope. For a layer in a `Box<dyn Module>`, messages name only the scope.
///
/// ```
/// use wgrad_core::{DType, Graph, Mode, Params, Tensor};
/// use wgrad_nn::{Module, layers::Linear};
///
/// struct Classifier { fc1: Linear, fc2: Linear }
///
/// impl Module for Classifier {
///     fn forward(&self, x: &Tensor) -> Tensor {
///         self.fc2.forward(&self.fc1.forward(x).relu())
///     }
/// }
///
/// let p = Params::seeded(7);
/// let model = Classifier { fc1: Linear::new(&p.at("fc1"), 30, 64), fc2: Linear::new(&p.at("fc2"), 64, 1) };
/// let graph = Graph::new(Mode::Evaluate);
/// let y = model.forward(&graph.input("x", [8, 30], DType::F32));
/// assert_eq!(y.shape().dims(), [8, 1]);
/// ```
pub trait Module {
    /// Traces the module's ops onto the graph of `x` and returns the output.
    fn forward(&self, x: &Tensor) -> Tensor;
}

impl<F: Fn(&Tensor) -> Tensor> Module for F {
    fn forward(&self, x: &Tensor) -> Tensor {
        self(x)
    }
}

/// A sequence of modules, each of which is applied to the output of the previous module; PyTorch's
/// `nn.Sequential`.
///
/// The scope of each module is named after its position, counted from 0, as in PyTorch.
///
/// ```
/// use wgrad_core::Params;
/// use wgrad_nn::{Sequential, layers::{Linear, Relu}};
/// let p = Params::seeded(7);
/// let model = Sequential::new(&p)
///     .add(|p| Linear::new(p, 30, 64))
///     .add(|_| Relu)
///     .add(|p| Linear::new(p, 64, 1));
/// let names: Vec<_> = p.variables().iter().map(|v| v.name().to_string()).collect();
/// assert_eq!(names, ["0.weight", "0.bias", "2.weight", "2.bias"]);
/// # assert_eq!(model.len(), 3);
/// ```
#[must_use]
pub struct Sequential {
    params: Params,
    modules: Vec<(String, Box<dyn Module>)>,
}

impl Sequential {
    /// Creates an empty sequence, whose modules declare their variables inside `params`.
    pub fn new(params: &Params) -> Self {
        Self { params: params.clone(), modules: vec![] }
    }

    /// Appends the module that `build` returns, in a scope named after its position.
    #[allow(clippy::should_implement_trait, reason = "adds to a sequence, does not sum")]
    pub fn add<M: Module + 'static>(self, build: impl FnOnce(&Params) -> M) -> Self {
        let name = self.modules.len().to_string();
        self.named(&name, build)
    }

    /// Appends the module that `build` returns, in the scope `name`.
    pub fn named<M: Module + 'static>(mut self, name: &str, build: impl FnOnce(&Params) -> M) -> Self {
        let module = build(&self.params.at(name));
        self.modules.push((name.into(), Box::new(module)));
        self
    }

    /// Returns the number of modules.
    pub fn len(&self) -> usize {
        self.modules.len()
    }

    /// Returns whether there are no modules. The output of an empty sequence is its input.
    pub fn is_empty(&self) -> bool {
        self.modules.is_empty()
    }
}

impl fmt::Debug for Sequential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.modules.iter().map(|(name, _)| name.as_str()).collect();
        write!(f, "Sequential({:?}: {})", self.params.path(), names.join(", "))
    }
}

impl Module for Sequential {
    #[track_caller]
    fn forward(&self, x: &Tensor) -> Tensor {
        let mut y = x.clone();
        for (name, module) in &self.modules {
            // Sets the scope and the source line for error messages: layers without variables do not set a scope,
            // and calls through `dyn` lose the caller's line.
            let path = self.params.at(name).path().to_string();
            let _scope = x.graph().scope_of_library(path, Location::caller(), crate::source());
            y = module.forward(&y);
        }
        y
    }
}
