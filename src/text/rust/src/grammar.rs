//! Grammars that bind what a model may write, by `llguidance`: from a JSON schema, a regular
//! expression, a list of choices or a Lark grammar to the set of tokens that may come next.

use std::sync::Arc;
use std::time::{Duration, Instant};

use llguidance::api::{GrammarInit, ParserLimits, StopReason, TopLevelGrammar};
use llguidance::earley::SlicedBiasComputer;
use llguidance::toktrie::{
    ApproximateTokEnv, InferenceCapabilities, SimpleVob, TokEnv, TokRxInfo, TokTrie,
};
use llguidance::{Logger, ParserFactory, TokenParser};
use serde_json::{json, Value};

use crate::{calls::Calls, json::parse, panic_text, Failure, Outcome, Status};

/// What one grammar may cost. Fuel and items are llguidance's measures of work. They do not bound
/// the time of a compile: ../../grammar_trial.h does. For a mask they do, at 1 to 3 seconds; the
/// usual ones take less than a millisecond. A lexer state takes up to 2 kB.
const LIMITS: ParserLimits = ParserLimits {
    max_items_in_row: 2000,
    initial_lexer_fuel: 1_000_000,
    step_lexer_fuel: 200_000,
    step_max_items: 50_000,
    max_lexer_states: 25_000,
    max_grammar_size: 100_000,
    precompute_large_lexemes: false,
    verbose_errors: false,
};

/// Items of all rows of one text that a client's Lark grammar may have. Where rules end with
/// themselves, one token completes a rule of each row before it: half of these items may come
/// together in one row, whose work is the square of their number, 3 seconds. SQL of 4,000 tokens is
/// within it. In JSON each level ends with a bracket of its own.
const MAX_LARK_ITEMS: usize = 200_000;

/// Lexer states times terminals of a Lark grammar. All of its terminals may be possible at the same
/// place (in JSON the items of a row bound them), and making a state costs 0.2 us for each: 1 second.
const MAX_LARK_STATES: usize = 5_000_000;

/// llguidance reads a grammar by recursion, as deep as its rules or properties form a chain: 20,000
/// of them overflow 8 MiB, and ../../grammar.cc bounds how many there can be.
const STACK: usize = 256 << 20;

/// How long is looked for the function whose parameters are at fault.
const BLAME_TIME: Duration = Duration::from_millis(200);

/// Characters of a reason for which a grammar is refused.
const MAX_REASON: usize = 900;

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
    parser: TokenParser,
    json_space: Option<JsonSpace>,
    max_items: usize, // of all rows of the text
    n_items: usize,
}

impl Vocabulary {
    /// The single bytes and the special tokens (id and name) of a vocabulary: what the cost of a
    /// compile depends on, made in milliseconds.
    pub fn of_bytes(n_ids: usize, eos: u32, specials: &[(usize, Vec<u8>)]) -> Outcome<Vocabulary> {
        let mut tokens = vec![(Vec::new(), false); n_ids];
        for (id, name) in specials {
            tokens[*id] = (name.clone(), true);
        }
        let others = tokens.iter_mut().filter(|(_, special)| !special);
        others.zip(0..=u8::MAX).for_each(|(token, byte)| token.0.push(byte));
        Vocabulary::with_slices(&tokens, eos, &[])
    }

    /// `tokens`: bytes by id and whether it is special; special ones never match a text.
    pub fn new(tokens: &[(Vec<u8>, bool)], eos: u32) -> Outcome<Vocabulary> {
        Vocabulary::with_slices(tokens, eos, &SlicedBiasComputer::general_slices())
    }

    /// `slices`: expressions whose tokens get trees of their own, for faster masks.
    fn with_slices(tokens: &[(Vec<u8>, bool)], eos: u32, slices: &[String]) -> Outcome<Vocabulary> {
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
        let factory = ParserFactory::new(&env, capabilities, slices).map_err(internal)?;
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
        let parser = self.parser(grammar, kind == "lark")?;
        let max_items = if kind == "lark" { MAX_LARK_ITEMS } else { usize::MAX };
        Ok(Grammar { parser, json_space: self.json_space(kind), max_items, n_items: 0 })
    }

    fn compile_calls(&self, source: &str) -> Outcome<Grammar> {
        let calls = Calls::read(source)?;
        let started = Instant::now();
        let lark = TopLevelGrammar::from_lark(calls.grammar());
        let parser = self.parser(lark, false).map_err(|whole| {
            // The whole does not say whose schema is at fault.
            let mut each = calls.schemas().take_while(|_| started.elapsed() < BLAME_TIME);
            let of_one = each.find_map(|(name, schema)| {
                let alone = self.parser(TopLevelGrammar::from_json_schema(schema), false).err()?;
                Some(refused(format!("the parameters of {name}: {}", alone.1)))
            });
            of_one.unwrap_or(whole)
        })?;
        Ok(Grammar { parser, json_space: None, max_items: usize::MAX, n_items: 0 })
    }

    /// `is_foreign`: a client wrote the rules, not only schemas.
    fn parser(&self, grammar: TopLevelGrammar, is_foreign: bool) -> Outcome<TokenParser> {
        let make = || {
            let environment = Some(self.factory.tok_env().clone());
            let init = GrammarInit::Serialized(grammar);
            let (rules, lexer) = init.to_internal(environment, LIMITS).map_err(refused)?;
            let mut limits = LIMITS;
            if is_foreign {
                let n_states = MAX_LARK_STATES / lexer.lexemes.len();
                limits.max_lexer_states = limits.max_lexer_states.min(n_states);
            }
            let init = GrammarInit::Internal(rules, lexer);
            let capabilities = InferenceCapabilities::default();
            let mut parser = self
                .factory
                .create_parser_from_init_ext(init, Logger::new(0, 0), capabilities, limits)
                .map_err(refused)?;
            parser.start_without_prompt();
            parser.compute_mask().map_err(refused)?; // some costs show with the first mask only
            Ok(parser)
        };
        on_deep_stack(make)?
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
        let parser = self.parser.deep_clone();
        Grammar { parser, json_space: self.json_space.clone(), ..*self }
    }

    /// Sets `mask` (bit i of word i / 32: token i may come next) and says whether the text may end
    /// here. Tokens beyond the vocabulary are never allowed; that of the end never is either.
    pub fn mask(&mut self, mask: &mut [u32]) -> Outcome<bool> {
        mask.fill(0);
        let allowed = self.allowed()?;
        let n = mask.len().min(allowed.as_slice().len());
        mask[..n].copy_from_slice(&allowed.as_slice()[..n]);
        if let Some(space) = self.json_space.as_ref().filter(|s| s.run >= MAX_JSON_SPACE) {
            space.tokens.iter().for_each(|id| mask[*id as usize / 32] &= !(1 << (id % 32)));
        }
        let eos = self.parser.token_env.tok_trie().eos_token() as usize;
        let may_end = mask[eos / 32] >> (eos % 32) & 1 != 0;
        mask[eos / 32] &= !(1 << (eos % 32));
        Ok(may_end)
    }

    /// Takes a token that the mask allowed. True: nothing can follow it.
    pub fn accept(&mut self, token: u32) -> Outcome<bool> {
        let before = self.parser.parser_stats().all_items;
        self.parser.consume_token(token).map_err(internal)?;
        self.n_items += self.parser.parser_stats().all_items - before;
        self.parser.check_stop().map_err(internal)?;
        if self.n_items > self.max_items {
            return Err(exhausted("too many rules at work in one text"));
        }
        if let Some(space) = &mut self.json_space {
            space.push(self.parser.token_env.tok_trie().token(token));
        }
        match self.parser.stop_reason() {
            StopReason::NotStopped => Ok(false),
            reason if reason.is_ok() => Ok(true),
            reason => Err(exhausted(&reason.to_string())),
        }
    }

    /// The tokens that llguidance allows: that of the end alone where nothing can follow.
    fn allowed(&mut self) -> Outcome<SimpleVob> {
        if self.parser.stop_reason() == StopReason::NotStopped {
            return self.parser.compute_mask().map_err(internal);
        }
        let trie = self.parser.token_env.tok_trie();
        Ok(trie.singleton_token_set(trie.eos_token()))
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

fn exhausted(why: &str) -> Failure {
    Failure(Status::ResourceExhausted, format!("the grammar: {why}"))
}

/// Some reasons repeat the source.
fn refused(why: impl std::fmt::Display) -> Failure {
    Failure(Status::InvalidArgument, why.to_string().chars().take(MAX_REASON).collect())
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
        serde_json::from_str(source).map_err(|e| refused(format!("the choices: {e}")))?;
    if list.is_empty() || list.iter().any(String::is_empty) {
        return Err(refused("choices must be strings of at least one character, and not none"));
    }
    let quoted: Vec<String> = list.iter().map(|text| json!(text).to_string()).collect();
    Ok(format!("start: {}", quoted.join(" | ")))
}
