//! What several test modules share.

pub(crate) mod probe;
pub(crate) mod streams;
pub(crate) mod whatwg;
pub(crate) mod wire;
