//! Typed indices: each kind of list has a separate index type, so that an index into one kind of list cannot be
//! used with another.

/// Declares index types that can index any `Vec` or slice.
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
