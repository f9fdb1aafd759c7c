//! The span that a stream lives in, or nothing at all without the feature `tracing`.

#[cfg(feature = "tracing")]
pub(crate) use tracing::Span;

#[cfg(not(feature = "tracing"))]
pub(crate) use off::Span;

#[cfg(not(feature = "tracing"))]
mod off {
    #[derive(Clone, Debug)]
    pub(crate) struct Span;

    pub(crate) struct Entered;

    impl Span {
        pub(crate) fn none() -> Self {
            Self
        }

        #[inline]
        pub(crate) fn enter(&self) -> Entered {
            Entered
        }
    }
}
