//! `text/event-stream` (WHATWG HTML, section 9.2): where a stream stands, what counts as content, how to write it.
//!
//! ```text
//! stream        = [ bom ] *event
//! event         = *( comment / field ) end-of-line
//! comment       = ":" *any-char end-of-line
//! field         = 1*name-char [ ":" [ space ] *any-char ] end-of-line
//! end-of-line   = CR LF / CR / LF
//! ```

mod boundary;
mod content;
pub(crate) mod encode;

pub(crate) use boundary::Boundary;
pub(crate) use content::Content;
