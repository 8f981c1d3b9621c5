//! The C face of the text crate: handles, strings as pointer and length, one result type, one
//! function that frees results. Every function catches panics and answers with an error; nothing
//! here throws, prints or leaves a thread behind. The C++ twin of these declarations is ../rust_api.h.

mod calls;
mod grammar;
mod json;
mod template;
mod tojson;
mod tokenizer;

use std::any::Any;
use std::ffi::c_int;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::Once;

use grammar::{Grammar, Vocabulary};
use template::{Message, Template};
use tokenizer::Tokenizer;

/// What went wrong, in the numbers of `DbrxTextStatus`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub enum Status {
    Ok = 0,
    InvalidArgument = 1,
    Unsupported = 2,
    Corrupt = 3,
    ResourceExhausted = 4,
    Internal = 5,
}

/// An error on its way to C++: a status and a message for the user.
#[derive(Debug)]
pub struct Failure(pub Status, pub String);

pub type Outcome<T> = Result<T, Failure>;

/// Bytes that C++ borrows to us for the length of one call.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Slice {
    data: *const u8,
    size: usize,
}

/// `Ok` with a payload, or an error with its message; freed by `dbrx_text_free`.
#[repr(C)]
pub struct Answer {
    status: c_int,
    data: *mut u8,
    size: usize,
}

/// One chat message, as C++ passes it.
#[repr(C)]
pub struct RawMessage {
    role: Slice,
    content: Slice,
}

impl Slice {
    /// The bytes behind the slice. The caller keeps them alive and unchanged during the call.
    unsafe fn bytes<'a>(self) -> &'a [u8] {
        if self.size == 0 {
            return &[];
        }
        std::slice::from_raw_parts(self.data, self.size)
    }

    unsafe fn text<'a>(self, what: &str) -> Outcome<&'a str> {
        std::str::from_utf8(self.bytes()).map_err(|e| {
            let message = format!("{what} is not valid UTF-8 (at byte {})", e.valid_up_to());
            Failure(Status::InvalidArgument, message)
        })
    }
}

fn answer(result: Outcome<Vec<u8>>) -> Answer {
    let (status, bytes) = match result {
        Ok(bytes) => (Status::Ok, bytes),
        Err(Failure(status, message)) => (status, message.into_bytes()),
    };
    let bytes = bytes.into_boxed_slice();
    let size = bytes.len();
    Answer { status: status as c_int, data: Box::into_raw(bytes) as *mut u8, size }
}

/// Runs `body`; a panic becomes an `Internal` error instead of crossing into C++.
fn guarded(body: impl FnOnce() -> Outcome<Vec<u8>>) -> Answer {
    static QUIET: Once = Once::new();
    // The message reaches the user inside the error; the default hook would print it as well.
    QUIET.call_once(|| std::panic::set_hook(Box::new(|_| {})));
    answer(catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|panic| {
        let message = format!("the text library failed: {}", panic_text(&*panic));
        Err(Failure(Status::Internal, message))
    }))
}

/// What a panic said.
pub fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let owned = panic.downcast_ref::<String>().map(String::as_str);
    owned.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no reason given")
}

fn id_bytes(ids: &[i32]) -> Vec<u8> {
    ids.iter().flat_map(|id| id.to_ne_bytes()).collect()
}

/// Frees the payload of an answer, whatever its status.
///
/// # Safety
/// `answer` comes from a function of this file and is freed once.
#[no_mangle]
pub unsafe extern "C" fn dbrx_text_free(answer: Answer) {
    drop(Box::from_raw(std::ptr::slice_from_raw_parts_mut(answer.data, answer.size)));
}

/// Reads tokenizer.json; on success `*handle` is the tokenizer and the payload is its vocabulary
/// (the layout is described at `Tokenizer::vocabulary`).
///
/// # Safety
/// `json` is readable and `handle` writable.
#[no_mangle]
pub unsafe extern "C" fn dbrx_text_tokenizer_open(
    json: Slice,
    handle: *mut *mut Tokenizer,
) -> Answer {
    guarded(|| {
        let tokenizer = Tokenizer::from_json(json.bytes())?;
        let vocabulary = tokenizer.vocabulary();
        *handle = Box::into_raw(Box::new(tokenizer));
        Ok(vocabulary)
    })
}

/// # Safety
/// `handle` comes from `dbrx_text_tokenizer_open` and is closed once.
#[no_mangle]
pub unsafe extern "C" fn dbrx_text_tokenizer_close(handle: *mut Tokenizer) {
    let _ = catch_unwind(AssertUnwindSafe(|| drop(Box::from_raw(handle))));
}

/// The payload is the ids, `int32_t`. `as_tokens` != 0: special tokens written in the text are
/// recognised; else they are ordinary text.
///
/// # Safety
/// `handle` is open, `text` is readable.
#[no_mangle]
pub unsafe extern "C" fn dbrx_text_encode(
    handle: *const Tokenizer,
    text: Slice,
    as_tokens: c_int,
) -> Answer {
    guarded(|| {
        let text = text.text("the text to tokenize")?;
        let mut ids = Vec::new();
        match as_tokens {
            0 => (*handle).encode_text(text, &mut ids)?,
            _ => (*handle).encode_with_specials(text, &mut ids)?,
        }
        Ok(id_bytes(&ids))
    })
}

/// Cuts the text at its added tokens. The payload is triples of `int32_t`: id or -1, begin, end
/// (byte offsets); together they cover the text.
///
/// # Safety
/// `handle` is open, `text` is readable.
#[no_mangle]
pub unsafe extern "C" fn dbrx_text_split(handle: *const Tokenizer, text: Slice) -> Answer {
    guarded(|| {
        let text = text.text("the text to split")?;
        if text.len() > i32::MAX as usize {
            let message = "a text of more than 2 GiB can't be tokenized".to_string();
            return Err(Failure(Status::InvalidArgument, message));
        }
        let mut triples = Vec::new();
        for piece in (*handle).split(text) {
            triples.extend([piece.id, piece.begin as i32, piece.end as i32]);
        }
        Ok(id_bytes(&triples))
    })
}

/// Compiles a chat template. `config` is the text of tokenizer_config.json ("" for none): its
/// special tokens become variables. With `source` absent (data null) the config's own
/// `chat_template` is taken; the payload is "1", or "0" if there is none and `*handle` stays unset.
///
/// # Safety
/// `source` and `config` are readable, `handle` is writable.
#[no_mangle]
pub unsafe extern "C" fn dbrx_text_template_open(
    source: Slice,
    config: Slice,
    handle: *mut *mut Template,
) -> Answer {
    guarded(|| {
        let given = match source.data.is_null() {
            true => None,
            false => Some(source.text("the chat template")?),
        };
        let Some(template) = Template::open(given, config.bytes())? else {
            return Ok(b"0".to_vec());
        };
        *handle = Box::into_raw(Box::new(template));
        Ok(b"1".to_vec())
    })
}

/// # Safety
/// `handle` comes from `dbrx_text_template_open` and is closed once.
#[no_mangle]
pub unsafe extern "C" fn dbrx_text_template_close(handle: *mut Template) {
    let _ = catch_unwind(AssertUnwindSafe(|| drop(Box::from_raw(handle))));
}

/// Renders the messages; the payload is the text.
///
/// # Safety
/// `handle` is open; `messages` points to `n_messages` readable messages.
#[no_mangle]
pub unsafe extern "C" fn dbrx_text_render(
    handle: *const Template,
    messages: *const RawMessage,
    n_messages: usize,
    add_generation_prompt: c_int,
) -> Answer {
    guarded(|| {
        let raw = match n_messages {
            0 => &[],
            _ => std::slice::from_raw_parts(messages, n_messages),
        };
        let mut list = Vec::with_capacity(raw.len());
        for (i, message) in raw.iter().enumerate() {
            list.push(Message {
                role: message.role.text(&format!("the role of message {i}"))?,
                content: message.content.text(&format!("the content of message {i}"))?,
            });
        }
        (*handle).render(&list, add_generation_prompt != 0).map(String::into_bytes)
    })
}

/// Makes the tree of a tokenizer's tokens that grammars walk; `eos` is an id of it.
///
/// # Safety
/// `tokenizer` is open, `handle` is writable.
#[no_mangle]
pub unsafe extern "C" fn dbrx_text_vocabulary_open(
    tokenizer: *const Tokenizer,
    eos: i32,
    handle: *mut *mut Vocabulary,
) -> Answer {
    guarded(|| {
        let vocabulary = Vocabulary::new((*tokenizer).tokens(), eos as u32)?;
        *handle = Box::into_raw(Box::new(vocabulary));
        Ok(Vec::new())
    })
}

/// Makes the tree of the single bytes and special tokens of a vocabulary (`Vocabulary::of_bytes`).
/// `specials`: for each id and length of its name, `int32_t`, and the name.
///
/// # Safety
/// `specials` is readable and as described, `handle` is writable.
#[no_mangle]
pub unsafe extern "C" fn dbrx_text_vocabulary_of_bytes(
    n_ids: i32,
    eos: i32,
    specials: Slice,
    handle: *mut *mut Vocabulary,
) -> Answer {
    guarded(|| {
        let mut names = Vec::new();
        let mut rest = specials.bytes();
        while let Some((head, tail)) = rest.split_first_chunk::<8>() {
            let [id, size] =
                [&head[..4], &head[4..]].map(|n| i32::from_ne_bytes(n.try_into().unwrap()));
            let (name, tail) = tail.split_at(size as usize);
            names.push((id as usize, name.to_vec()));
            rest = tail;
        }
        let vocabulary = Vocabulary::of_bytes(n_ids as usize, eos as u32, &names)?;
        *handle = Box::into_raw(Box::new(vocabulary));
        Ok(Vec::new())
    })
}

/// # Safety
/// `handle` comes from one of the two functions above and is closed once.
#[no_mangle]
pub unsafe extern "C" fn dbrx_text_vocabulary_close(handle: *mut Vocabulary) {
    let _ = catch_unwind(AssertUnwindSafe(|| drop(Box::from_raw(handle))));
}

/// Compiles a grammar; the kinds are those of `Vocabulary::compile`.
///
/// # Safety
/// `vocabulary` is open, `kind` and `source` are readable, `handle` is writable.
#[no_mangle]
pub unsafe extern "C" fn dbrx_text_grammar_open(
    vocabulary: *const Vocabulary,
    kind: Slice,
    source: Slice,
    handle: *mut *mut Grammar,
) -> Answer {
    guarded(|| {
        let grammar = (*vocabulary).compile(kind.text("the kind")?, source.text("the grammar")?)?;
        *handle = Box::into_raw(Box::new(grammar));
        Ok(Vec::new())
    })
}

/// A copy of a grammar, for one text.
///
/// # Safety
/// `grammar` is open and nobody changes it, `handle` is writable.
#[no_mangle]
pub unsafe extern "C" fn dbrx_text_grammar_start(
    grammar: *const Grammar,
    handle: *mut *mut Grammar,
) -> Answer {
    guarded(|| {
        *handle = Box::into_raw(Box::new((*grammar).start()));
        Ok(Vec::new())
    })
}

/// # Safety
/// `handle` comes from one of the two functions above and is closed once.
#[no_mangle]
pub unsafe extern "C" fn dbrx_text_grammar_close(handle: *mut Grammar) {
    let _ = catch_unwind(AssertUnwindSafe(|| drop(Box::from_raw(handle))));
}

/// Sets the mask of the next token (`Grammar::mask`) and `*may_end`.
///
/// # Safety
/// `handle` is open and nobody else uses it; `mask` has `n_words` writable words.
#[no_mangle]
pub unsafe extern "C" fn dbrx_text_grammar_mask(
    handle: *mut Grammar,
    mask: *mut u32,
    n_words: usize,
    may_end: *mut c_int,
) -> Answer {
    guarded(|| {
        let mask = std::slice::from_raw_parts_mut(mask, n_words);
        *may_end = (*handle).mask(mask)? as c_int;
        Ok(Vec::new())
    })
}

/// Takes the next token; `*over` != 0: nothing can follow.
///
/// # Safety
/// `handle` is open and nobody else uses it.
#[no_mangle]
pub unsafe extern "C" fn dbrx_text_grammar_accept(
    handle: *mut Grammar,
    token: i32,
    over: *mut c_int,
) -> Answer {
    guarded(|| {
        *over = (*handle).accept(token as u32)? as c_int;
        Ok(Vec::new())
    })
}
