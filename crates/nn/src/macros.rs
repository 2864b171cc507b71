//! Macros that declare option structs with setters, and implement [`Module`](crate::Module) from one expression.

/// Declares a struct of options, a function `new` that sets the defaults, and one setter per option. The doc
/// comment of an option becomes the doc comment of its setter.
///
/// ```text
/// options! {
///     /// Options of a [`Linear`].
///     #[derive(Clone, Copy, Debug)]
///     pub struct LinearOptions {
///         /// If `false`, the layer has no bias. Default: `true`.
///         bias: bool = true,
///         /// Initial weight. The setter accepts anything that converts into `Option<Init>`.
///         weight_init: Option<Init> as Option<Init> = None,
///     }
/// }
/// ```
///
/// Options in parentheses after the name, as in `pub struct Threshold(threshold: f64, value: f64) {}`, are
/// required: they are arguments of `new`. `pub struct MseLoss: common[reduction] {}` adds options that several
/// structs share; the macro `common!` supplies their types, defaults and setters. A field in parentheses, such as
/// `(window: ConvOptions<D> = ConvOptions::new())`, has no setter.
macro_rules! options {
    (@setter [$($doc:tt)*] $option:ident: $Type:ty) => {
        $($doc)*
        pub fn $option(mut self, $option: $Type) -> Self {
            self.$option = $option;
            self
        }
    };
    (@setter [$($doc:tt)*] $option:ident: $Type:ty as $From:ty) => {
        $($doc)*
        pub fn $option(mut self, $option: impl Into<$From>) -> Self {
            let from: $From = $option.into();
            self.$option = from.into();
            self
        }
    };
    (
        $(#[$meta:meta])*
        pub struct $Name:ident($($required:ident: $Required:ty),+) {
            $($(#[$of:meta])* $option:ident: $Type:ty $(as $From:ty)? = $default:expr),* $(,)?
        }
    ) => {
        $(#[$meta])*
        #[must_use]
        pub struct $Name {
            $(pub(crate) $required: $Required,)+
            $(pub(crate) $option: $Type,)*
        }

        impl $Name {
            /// Creates a value with the required options, and PyTorch's defaults for the others.
            pub fn new($($required: $Required),+) -> Self {
                Self { $($required,)+ $($option: $default,)* }
            }

            $(options!(@setter [$(#[$of])*] $option: $Type $(as $From)?);)*
        }
    };
    (
        $(#[$meta:meta])*
        pub struct $Name:ident $(<$lifetime:lifetime>)? $(<const $D:ident>)? $(: $shared:ident[$($kind:ident),*])? {
            $(($inner:ident: $Inner:ty = $init:expr))?
            $($(#[$of:meta])* $option:ident: $Type:ty $(as $From:ty)? = $default:expr),* $(,)?
        }
    ) => {
        $(#[$meta])*
        #[must_use]
        pub struct $Name $(<$lifetime>)? $(<const $D: usize>)? {
            $($(pub(crate) $kind: $shared!(type $kind),)*)?
            $(pub(crate) $inner: $Inner,)?
            $(pub(crate) $option: $Type,)*
        }

        impl $(<$lifetime>)? $(<const $D: usize>)? Default for $Name $(<$lifetime>)? $(<$D>)? {
            fn default() -> Self {
                Self { $($($kind: $shared!(default $kind),)*)? $($inner: $init,)? $($option: $default,)* }
            }
        }

        impl $(<$lifetime>)? $(<const $D: usize>)? $Name $(<$lifetime>)? $(<$D>)? {
            /// Creates a value with PyTorch's defaults.
            pub fn new() -> Self {
                Self::default()
            }

            $($($shared!(setter $kind);)*)?
            $(options!(@setter [$(#[$of])*] $option: $Type $(as $From)?);)*
        }
    };
}

/// Implements [`Module`](crate::Module) for a layer, from an expression that computes the output from the layer
/// and its input: `module!(Elu, |elu, x| …);`.
///
/// `module! { pub struct Relu; |x| x.relu() }` also declares the layer, as a struct without options.
macro_rules! module {
    ($(#[$meta:meta])* pub struct $Name:ident; |$x:ident| $forward:expr) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct $Name;

        module!($Name, |_layer, $x| $forward);
    };
    ($Layer:ty, |$layer:ident, $x:ident| $forward:expr) => {
        impl $crate::Module for $Layer {
            #[track_caller]
            fn forward(&self, $x: &wgrad_core::Tensor) -> wgrad_core::Tensor {
                let $layer = self;
                $forward
            }
        }
    };
}
