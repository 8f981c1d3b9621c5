//! Grammars that bind what a model may write, by `llguidance`: from a JSON schema, a regular
//! expression, a list of choices or a Lark grammar to the set of tokens that may come next.

use std::sync::Arc;
use std::time::{Duration, Instant};

use llguidance::api::{ParserLimits, StopReason, TopLevelGrammar};
use llguidance::toktrie::{ApproximateTokEnv, InferenceCapabilities, TokEnv, TokRxInfo, TokTrie};
use llguidance::{Matcher, ParserFactory};
use serde_json::{json, Value};

use crate::{calls::Calls, json::parse, panic_text, Failure, Outcome, Status};

/// What one grammar may cost. Fuel is llguidance's measure of work: a compile with all of it takes
/// about a tenth of a second, a mask about 20 ms; a lexer state takes up to 2 kB.
const LIMITS: ParserLimits = ParserLimits {
    max_items_in_row: 2000,
    initial_lexer_fuel: 1_000_000,
    step_lexer_fuel: 200_000,
    step_max_items: 50_000,
    max_lexer_states: 50_000,
    max_grammar_size: 200_000,
    precompute_large_lexemes: false,
    verbose_errors: false,
};

/// llguidance reads a grammar by recursion, as deep as its rules or properties form a chain: 20,000
/// of them overflow 8 MiB, and ../../grammar.cc bounds how many there can be.
const STACK: usize = 256 << 20;

/// How long is looked for the function whose parameters are at fault.
const BLAME_TIME: Duration = Duration::from_millis(200);

/// Bytes of white space in a row between the parts of a JSON text; JSON itself allows any number,
/// and a model that has lost its way would write them for ever.
const MAX_JSON_SPACE: usize = 64;

/// The vocabulary as a tree, made once per model.
pub struct Vocabulary {
    factory: ParserFactory,
    /// Ids of the tokens that are white space only.
    spaces: Arc<Vec<u32>>,
}

/// Where a JSON text stands, as far as its white space is concerned.
#[derive(Clone)]
struct JsonSpace {
    tokens: Arc<Vec<u32>>,
    in_string: bool,
    escaped: bool,
    run: usize,
}

/// A grammar at some point of a text; a compiled one is at the beginning.
pub struct Grammar {
    matcher: Matcher,
    json_space: Option<JsonSpace>,
}

impl Vocabulary {
    /// `tokens`: bytes by id and whether it is special; special ones never match a text.
    pub fn new(tokens: &[(Vec<u8>, bool)], eos: u32) -> Outcome<Vocabulary> {
        let words: Vec<Vec<u8>> = tokens
            .iter()
            .map(|(bytes, special)| match special {
                true => [&[TokTrie::SPECIAL_TOKEN_MARKER], bytes.as_slice()].concat(),
                false => bytes.clone(),
            })
            .collect();
        let trie = TokTrie::from(&TokRxInfo::new(words.len() as u32, eos), &words);
        let env: TokEnv = Arc::new(ApproximateTokEnv::new(trie));
        let capabilities = InferenceCapabilities::default();
        let slices = llguidance::earley::SlicedBiasComputer::general_slices();
        let mut factory = ParserFactory::new(&env, capabilities, &slices).map_err(internal)?;
        factory.quiet();
        *factory.limits_mut() = LIMITS;
        let is_space = |word: &[u8]| !word.is_empty() && word.iter().all(|&b| is_json_space(b));
        let ids = (0..words.len() as u32).filter(|&id| is_space(&words[id as usize])).collect();
        Ok(Vocabulary { factory, spaces: Arc::new(ids) })
    }

    /// `kind`: json_schema, regex, choice (a JSON list of strings), lark or calls (calls.rs).
    pub fn compile(&self, kind: &str, source: &str) -> Outcome<Grammar> {
        let grammar = match kind {
            "calls" => return self.compile_calls(source),
            "json_schema" => TopLevelGrammar::from_json_schema(read_schema(source)?),
            "regex" => TopLevelGrammar::from_regex(source),
            "choice" => TopLevelGrammar::from_lark(choice_grammar(source)?),
            "lark" => TopLevelGrammar::from_lark(source.to_string()),
            _ => return Err(Failure(Status::Internal, format!("no grammar of kind {kind}"))),
        };
        Ok(Grammar { matcher: self.matcher(grammar)?, json_space: self.json_space(kind) })
    }

    fn compile_calls(&self, source: &str) -> Outcome<Grammar> {
        let calls = Calls::read(source)?;
        let started = Instant::now();
        let matcher = self.matcher(TopLevelGrammar::from_lark(calls.grammar())).map_err(|whole| {
            // The whole does not say whose schema is at fault.
            let mut each = calls.schemas().take_while(|_| started.elapsed() < BLAME_TIME);
            let of_one = each.find_map(|(name, schema)| {
                let alone = self.matcher(TopLevelGrammar::from_json_schema(schema)).err()?;
                Some(refused(&format!("the parameters of {name}: {}", alone.1)))
            });
            of_one.unwrap_or(whole)
        })?;
        Ok(Grammar { matcher, json_space: None })
    }

    fn matcher(&self, grammar: TopLevelGrammar) -> Outcome<Matcher> {
        on_deep_stack(|| {
            let mut matcher = Matcher::new(self.factory.create_parser(grammar));
            // Some costs show with the first mask only.
            let mask = matcher.compute_mask_or_eos();
            mask.map(|_| matcher).map_err(|e| refused(&e.to_string()))
        })?
    }

    fn json_space(&self, kind: &str) -> Option<JsonSpace> {
        let tokens = self.spaces.clone();
        (kind == "json_schema").then_some(JsonSpace {
            tokens,
            in_string: false,
            escaped: false,
            run: 0,
        })
    }
}

impl JsonSpace {
    fn push(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.run = if !self.in_string && is_json_space(byte) { self.run + 1 } else { 0 };
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = self.in_string,
                b'"' => self.in_string = !self.in_string,
                _ => {}
            }
        }
    }
}

fn is_json_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

impl Grammar {
    /// Another one at the same point, for one text.
    pub fn start(&self) -> Grammar {
        Grammar { matcher: self.matcher.deep_clone(), json_space: self.json_space.clone() }
    }

    /// Sets `mask` (bit i of word i / 32: token i may come next) and says whether the text may end
    /// here. Tokens beyond the vocabulary are never allowed; that of the end never is either.
    pub fn mask(&mut self, mask: &mut [u32]) -> Outcome<bool> {
        mask.fill(0);
        let allowed = self.matcher.compute_mask_or_eos().map_err(internal)?;
        let n = mask.len().min(allowed.as_slice().len());
        mask[..n].copy_from_slice(&allowed.as_slice()[..n]);
        if let Some(space) = self.json_space.as_ref().filter(|s| s.run >= MAX_JSON_SPACE) {
            space.tokens.iter().for_each(|id| mask[*id as usize / 32] &= !(1 << (id % 32)));
        }
        let environment = self.matcher.tok_env().map_err(internal)?;
        let eos = environment.tok_trie().eos_token() as usize;
        let may_end = mask[eos / 32] >> (eos % 32) & 1 != 0;
        mask[eos / 32] &= !(1 << (eos % 32));
        Ok(may_end)
    }

    /// Takes a token that the mask allowed. True: nothing can follow it.
    pub fn accept(&mut self, token: u32) -> Outcome<bool> {
        self.matcher.consume_token(token).map_err(internal)?;
        if let Some(space) = &mut self.json_space {
            let environment = self.matcher.tok_env().map_err(internal)?;
            space.push(environment.tok_trie().token(token));
        }
        match self.matcher.stop_reason() {
            StopReason::NotStopped => Ok(false),
            reason if reason.is_ok() => Ok(true),
            reason => Err(Failure(Status::ResourceExhausted, format!("the grammar: {reason}"))),
        }
    }
}

/// Runs `work` on a thread whose stack is STACK bytes; only those that it reaches are memory.
fn on_deep_stack<T: Send>(work: impl FnOnce() -> T + Send) -> Outcome<T> {
    std::thread::scope(|scope| {
        let builder = std::thread::Builder::new().name("grammar".to_string()).stack_size(STACK);
        let no_thread = |e| Failure(Status::ResourceExhausted, format!("no thread: {e}"));
        let thread = builder.spawn_scoped(scope, work).map_err(no_thread)?;
        thread.join().map_err(|panic| refused(panic_text(&*panic)))
    })
}

fn internal(error: impl std::fmt::Display) -> Failure {
    Failure(Status::Internal, format!("the grammar failed: {error}"))
}

fn refused(why: &str) -> Failure {
    Failure(Status::InvalidArgument, why.to_string())
}

fn read_schema(source: &str) -> Outcome<Value> {
    let mut schema = parse(source.as_bytes(), "the schema")
        .map_err(|Failure(_, why)| Failure(Status::InvalidArgument, why))?;
    match &mut schema {
        Value::Object(fields) => {
            fields.remove("x-guidance"); // llguidance's own options are not for clients
            Ok(schema)
        }
        Value::Bool(true) => Ok(json!({})),
        Value::Bool(false) => Err(refused("the schema is false: no text satisfies it")),
        _ => Err(refused("a schema must be an object")),
    }
}

/// A Lark grammar whose texts are the members of a JSON list of strings.
fn choice_grammar(source: &str) -> Outcome<String> {
    let list: Vec<String> =
        serde_json::from_str(source).map_err(|e| refused(&format!("the choices: {e}")))?;
    if list.is_empty() || list.iter().any(String::is_empty) {
        return Err(refused("choices must be strings of at least one character, and not none"));
    }
    let quoted: Vec<String> = list.iter().map(|text| json!(text).to_string()).collect();
    Ok(format!("start: {}", quoted.join(" | ")))
}
