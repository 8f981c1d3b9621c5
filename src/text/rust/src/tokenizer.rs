//! A byte-level BPE tokenizer, read from tokenizer.json by Hugging Face's `tokenizers`.
//!
//! Special tokens never enter the BPE model's own reach: the text encoder knows neither their
//! names nor a merge that makes one, so text can't become a special token. Where special tokens
//! are wanted, a separate splitter finds them first and the pieces between go to the text encoder.

use std::collections::{HashMap, HashSet};
use std::panic::{catch_unwind, AssertUnwindSafe};

use serde_json::{json, Map, Value};
use tokenizers::models::bpe::BPE;
use tokenizers::normalizers::NormalizerWrapper;
use tokenizers::{
    AddedToken, AddedVocabulary, OffsetReferential, OffsetType, Tokenizer as HfTokenizer,
};

use crate::{json::parse, panic_text, Failure, Outcome, Status};

const FILE: &str = "tokenizer.json";
/// Ids above this are taken for damage, not for a vocabulary.
const MAX_ID: u64 = (1 << 24) - 1;

struct Added {
    id: u32,
    token: AddedToken,
}

pub struct Tokenizer {
    text: HfTokenizer,
    splitter: AddedVocabulary,
    /// By id; holes are empty. The flag says whether the token is special.
    tokens: Vec<(Vec<u8>, bool)>,
}

/// A piece of a text: an added token (`id` >= 0), or text between such tokens (`id` == -1).
pub struct Piece {
    pub id: i32,
    pub begin: usize,
    pub end: usize,
}

impl Tokenizer {
    pub fn from_json(bytes: &[u8]) -> Outcome<Tokenizer> {
        let mut root = match parse(bytes, FILE)? {
            Value::Object(map) => map,
            _ => return Err(corrupt("is not a JSON object")),
        };
        require_byte_level_bpe(&root)?;
        let added = take_added_tokens(&mut root)?;
        let specials: HashSet<&str> =
            added.iter().filter(|a| a.token.special).map(|a| a.token.content.as_str()).collect();

        let model = root.get_mut("model").and_then(Value::as_object_mut).expect("checked above");
        let tokens = read_vocabulary(model, &added)?;
        hide_specials(model, &added, &specials)?;
        let ordinary: Vec<Value> = std::mem::take(&mut root["added_tokens"])
            .as_array()
            .into_iter()
            .flatten()
            .filter(|t| t.get("special").and_then(Value::as_bool) != Some(true))
            .cloned()
            .collect();
        root.insert("added_tokens".into(), Value::Array(ordinary));
        for unused in ["truncation", "padding", "post_processor", "decoder"] {
            root.insert(unused.into(), Value::Null);
        }

        let source = serde_json::to_vec(&root).map_err(|e| corrupt(&e.to_string()))?;
        let text = HfTokenizer::from_bytes(source).map_err(|e| corrupt(&e.to_string()))?;
        Ok(Tokenizer { text, splitter: make_splitter(added)?, tokens })
    }

    /// Per id, from 0 on: `uint32_t` of the token's length, with bit 31 set if it is special; after
    /// all of these the tokens' bytes without gaps. The first `uint32_t` is the number of ids.
    pub fn vocabulary(&self) -> Vec<u8> {
        let mut table = (self.tokens.len() as u32).to_ne_bytes().to_vec();
        for (bytes, special) in &self.tokens {
            let word = bytes.len() as u32 | (*special as u32) << 31;
            table.extend(word.to_ne_bytes());
        }
        self.tokens.iter().for_each(|(bytes, _)| table.extend(bytes));
        table
    }

    pub fn tokens(&self) -> &[(Vec<u8>, bool)] {
        &self.tokens
    }

    pub fn encode_text(&self, text: &str, ids: &mut Vec<i32>) -> Outcome<()> {
        let refused = |why: &str| {
            Failure(Status::InvalidArgument, format!("the text can't be tokenized: {why}"))
        };
        // The regex library panics when it gives up, for example after 10 million spaces.
        let encoding = catch_unwind(AssertUnwindSafe(|| self.text.encode_fast(text, false)))
            .map_err(|panic| refused(panic_text(&*panic)))?
            .map_err(|e| refused(&e.to_string()))?;
        ids.extend(encoding.get_ids().iter().map(|&id| id as i32));
        Ok(())
    }

    pub fn encode_with_specials(&self, text: &str, ids: &mut Vec<i32>) -> Outcome<()> {
        for piece in self.split(text) {
            match piece.id {
                -1 => self.encode_text(&text[piece.begin..piece.end], ids)?,
                id => ids.push(id),
            }
        }
        Ok(())
    }

    pub fn split(&self, text: &str) -> Vec<Piece> {
        let pieces = self.splitter.extract_and_normalize(None::<&NormalizerWrapper>, text);
        pieces
            .get_splits(OffsetReferential::Original, OffsetType::Byte)
            .into_iter()
            .map(|(_, (begin, end), tokens)| {
                let id = tokens.as_ref().and_then(|t| t.first()).map_or(-1, |t| t.id as i32);
                Piece { id, begin, end }
            })
            .collect()
    }
}

fn corrupt(what: &str) -> Failure {
    Failure(Status::Corrupt, format!("{FILE}: {what}"))
}

fn unsupported(what: String) -> Failure {
    Failure(Status::Unsupported, format!("{FILE}: {what}"))
}

fn type_of<'a>(part: Option<&'a Value>, default: &'a str) -> &'a str {
    part.and_then(|p| p.get("type")).and_then(Value::as_str).unwrap_or(default)
}

/// Whether the part, or a member of a `Sequence`, is of type ByteLevel.
fn mentions_byte_level(part: Option<&Value>) -> bool {
    let Some(part) = part else { return false };
    let members = part.get("pretokenizers").or(part.get("normalizers")).and_then(Value::as_array);
    type_of(Some(part), "") == "ByteLevel"
        || members.is_some_and(|list| list.iter().any(|member| mentions_byte_level(Some(member))))
}

fn require_byte_level_bpe(root: &Map<String, Value>) -> Outcome<()> {
    let model = root.get("model");
    if model.is_none_or(|m| m.get("vocab").is_none()) {
        return Err(corrupt("it has no model.vocab"));
    }
    let model_type = type_of(model, "BPE");
    if model_type != "BPE" {
        return Err(unsupported(format!("the model type '{model_type}'; only BPE is supported")));
    }
    let decoder = type_of(root.get("decoder"), "none");
    if decoder != "ByteLevel" {
        let what = format!("the decoder type '{decoder}'; only ByteLevel is supported");
        return Err(unsupported(what));
    }
    if !mentions_byte_level(root.get("pre_tokenizer"))
        && !mentions_byte_level(root.get("normalizer"))
    {
        let what = "the decoder is ByteLevel, but no pre-tokenizer or normalizer is";
        return Err(unsupported(what.into()));
    }
    Ok(())
}

fn take_added_tokens(root: &mut Map<String, Value>) -> Outcome<Vec<Added>> {
    let list = match root.entry("added_tokens").or_insert(Value::Null) {
        Value::Null => return Ok(Vec::new()),
        Value::Array(list) => list.clone(),
        _ => return Err(corrupt("added_tokens is not a list")),
    };
    let mut added = Vec::with_capacity(list.len());
    for entry in list {
        let id = entry.get("id").and_then(Value::as_u64).filter(|&id| id <= MAX_ID);
        let token = serde_json::from_value::<AddedToken>(entry.clone());
        match (id, token) {
            (Some(id), Ok(token)) if !token.content.is_empty() => {
                added.push(Added { id: id as u32, token })
            }
            _ => return Err(corrupt(&format!("this added token is not understood: {entry}"))),
        }
    }
    Ok(added)
}

/// The bytes of every id. Added tokens count first: they may be absent from the model, and where
/// both name a token, they must agree.
fn read_vocabulary(model: &Map<String, Value>, added: &[Added]) -> Outcome<Vec<(Vec<u8>, bool)>> {
    let vocab =
        model["vocab"].as_object().ok_or_else(|| corrupt("model.vocab is not an object"))?;
    let mut tokens: Vec<Option<(Vec<u8>, bool)>> = Vec::new();
    let mut put = |id: u64, name: &str, bytes: Vec<u8>, special: bool| -> Outcome<()> {
        if id > MAX_ID {
            return Err(corrupt(&format!("the id {id} of token '{name}' is too large")));
        }
        let id = id as usize;
        if id >= tokens.len() {
            tokens.resize(id + 1, None);
        }
        match &tokens[id] {
            Some((other, _)) if *other != bytes => {
                let other = String::from_utf8_lossy(other);
                Err(corrupt(&format!("the id {id} belongs to both '{other}' and '{name}'")))
            }
            _ => {
                tokens[id] = Some((bytes, special));
                Ok(())
            }
        }
    };
    let mut added_ids = HashMap::new();
    for Added { id, token } in added {
        let bytes = token.content.clone().into_bytes();
        put(*id as u64, &token.content, bytes, token.special)?;
        if added_ids.insert(token.content.as_str(), *id as u64).is_some_and(|old| old != *id as u64)
        {
            return Err(corrupt(&format!("the added token '{}' has two ids", token.content)));
        }
    }
    let bytes_of = byte_level_alphabet();
    let mut byte_seen = [false; 256];
    for (name, id) in vocab {
        let id = id.as_u64().ok_or_else(|| corrupt(&format!("the token '{name}' has no id")))?;
        if let Some(&added_id) = added_ids.get(name.as_str()) {
            if added_id != id {
                let what = format!("'{name}' is {added_id} in added_tokens, {id} in model.vocab");
                return Err(corrupt(&what));
            }
            continue;
        }
        let mapped: Option<Vec<u8>> = name.chars().map(|c| bytes_of.get(&c).copied()).collect();
        // As the ByteLevel decoder does: a name outside of the alphabet stands for itself.
        let bytes = mapped.unwrap_or_else(|| name.clone().into_bytes());
        if let [byte] = bytes[..] {
            byte_seen[byte as usize] = true;
        }
        put(id, name, bytes, false)?;
    }
    // C0, C1 and F5..FF occur in no UTF-8 text; a vocabulary need not have them.
    let needed = (0..=255u8).filter(|b| !matches!(b, 0xC0 | 0xC1 | 0xF5..=0xFF));
    if let Some(byte) = needed.into_iter().find(|&b| !byte_seen[b as usize]) {
        let what = format!(
            "no token stands for the single byte 0x{byte:02X}, so that some texts \
                            could not be encoded; such vocabularies are not supported"
        );
        return Err(unsupported(what));
    }
    Ok(tokens.into_iter().map(Option::unwrap_or_default).collect())
}

/// Takes special tokens out of the BPE model: their names, and the merges that would make one.
/// Added tokens that are not special get their ids written into the model, as tokenizers reads
/// them from there (it ignores the `id` fields of the file).
fn hide_specials(
    model: &mut Map<String, Value>,
    added: &[Added],
    specials: &HashSet<&str>,
) -> Outcome<()> {
    model.insert("unk_token".into(), Value::Null);
    model.insert("dropout".into(), Value::Null);
    let vocab = model["vocab"].as_object_mut().expect("checked by read_vocabulary");
    vocab.retain(|name, _| !specials.contains(name.as_str()));
    for Added { id, token } in added.iter().filter(|a| !a.token.special) {
        vocab.insert(token.content.clone(), (*id).into());
    }
    let merges = model.get_mut("merges").and_then(Value::as_array_mut);
    let merges = merges.ok_or_else(|| corrupt("it has no list model.merges"))?;
    merges.retain(|merge| {
        let parts: Vec<&str> = match merge {
            Value::String(pair) => pair.split(' ').collect(),
            Value::Array(pair) => pair.iter().filter_map(Value::as_str).collect(),
            _ => return true,
        };
        !specials.contains(parts.concat().as_str()) && !parts.iter().any(|p| specials.contains(p))
    });
    Ok(())
}

/// An added vocabulary of its own, over a model that holds nothing but the ids of its tokens.
fn make_splitter(added: Vec<Added>) -> Outcome<AddedVocabulary> {
    let ids: Map<String, Value> =
        added.iter().map(|a| (a.token.content.clone(), a.id.into())).collect();
    let ids = json!({"vocab": ids, "merges": []}).to_string();
    let ids: BPE = serde_json::from_str(&ids).map_err(|e| corrupt(&e.to_string()))?;
    let mut splitter = AddedVocabulary::new();
    splitter
        .add_tokens(added.into_iter().map(|a| a.token), &ids, None::<&NormalizerWrapper>)
        .map_err(|e| corrupt(&format!("added tokens: {e}")))?;
    Ok(splitter)
}

/// GPT-2's writing of bytes as characters: printable Latin-1 stands for itself, the other 68 bytes
/// follow in ascending order from U+0100 on.
fn byte_level_alphabet() -> HashMap<char, u8> {
    let mut next = 0x100;
    (0..=255u8)
        .map(|byte| match byte {
            33..=126 | 161..=172 | 174..=255 => (char::from(byte), byte),
            _ => {
                next += 1;
                (char::from_u32(next - 1).expect("below the surrogates"), byte)
            }
        })
        .collect()
}
