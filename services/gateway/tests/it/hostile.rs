//! What no honest client does, over raw sockets where a client library would hide it. One test per case; each names its
//! case as the list of attacks that the gateway is built against numbers them:
//!
//! | cases | what | where |
//! | --- | --- | --- |
//! | H1, H2 | headers and bodies that come slowly or never | [`slow`] |
//! | H3, H5 | bodies and headers that are too large, or endless | [`sizes`] |
//! | H4 | framing that two servers could read differently | [`smuggling`] |
//! | H6 | many requests on one connection | [`many`] |
//! | H7 | other protocols and versions, `Expect` | [`protocols`] |
//! | H8 | other methods | [`methods`] |
//! | H9 | connections without end, and the last file | [`connections`], [`files`] |
//! | H10 | clients that leave | [`leaving`] |
//! | H11 | content types and codings | [`content`] |
//! | all at once, for as long as you like | | [`soak`] |

mod connections;
mod content;
mod files;
mod leaving;
mod many;
mod methods;
mod protocols;
pub(crate) mod raw;
mod sizes;
mod slow;
mod smuggling;
mod soak;
