//! Ids: positions in lists, each list with a type of its own, so that none is taken for another's.

/// Declares ids that lists of anything are indexed by.
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
