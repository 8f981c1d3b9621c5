//! Reading JSON files of a checkpoint: the nesting is limited before anything is parsed, so that a
//! hostile file can't exhaust the stack.

use crate::{Failure, Outcome, Status};
use serde_json::Value;

const MAX_DEPTH: usize = 64;

/// Parses `bytes`; `file` names it in errors.
pub fn parse(bytes: &[u8], file: &str) -> Outcome<Value> {
    if max_depth(bytes) > MAX_DEPTH {
        let message = format!("{file} is nested deeper than {MAX_DEPTH} levels");
        return Err(Failure(Status::Corrupt, message));
    }
    serde_json::from_slice(bytes)
        .map_err(|e| Failure(Status::Corrupt, format!("{file} is not valid JSON: {e}")))
}

/// The deepest nesting of brackets outside of strings. Exact for valid JSON; for anything else the
/// parser itself complains.
fn max_depth(bytes: &[u8]) -> usize {
    let (mut depth, mut deepest) = (0usize, 0usize);
    let (mut in_string, mut escaped) = (false, false);
    for &byte in bytes {
        if in_string {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'[' | b'{' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}
