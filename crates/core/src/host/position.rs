//! Typed indices: each kind of list has an index type of its own, so that indices cannot be confused.

/// Declares index types that work with any `Vec` or slice.
macro_rules! position {
    ($($(#[$doc:meta])* $vis:vis struct $Name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        $vis struct $Name(pub usize);

        impl std::fmt::Debug for $Name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }

        impl std::fmt::Display for $Name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }

        impl<T> std::ops::Index<$Name> for Vec<T> {
            type Output = T;

            fn index(&self, at: $Name) -> &T {
                &self[at.0]
            }
        }

        impl<T> std::ops::Index<$Name> for [T] {
            type Output = T;

            fn index(&self, at: $Name) -> &T {
                &self[at.0]
            }
        }

        impl<T> std::ops::IndexMut<$Name> for Vec<T> {
            fn index_mut(&mut self, at: $Name) -> &mut T {
                &mut self[at.0]
            }
        }
    )*};
}

pub(crate) use position;
