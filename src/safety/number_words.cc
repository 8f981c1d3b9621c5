#include "safety/number_words.h"

#include <algorithm>
#include <array>
#include <unordered_map>
#include <unordered_set>

namespace dbrx {
namespace {

constexpr std::array kPhone = {
    "phone",       "phones",   "tel",      "tél",       "telf",         "tfno",     "tlf",
    "tlfn",        "cel",      "cell",     "cells",     "mob",          "mobil",    "mobiel",
    "gsm",         "fax",      "faks",     "факс",      "call",         "calls",    "called",
    "calling",     "caller",   "callback", "dial",      "dials",        "dialing",  "dialed",
    "dialled",     "dialling", "ring",     "rings",     "rang",         "ringing",  "bell",
    "buzz",        "text",     "texted",   "texting",   "texts",        "sms",      "message",
    "messages",    "desk",     "msisdn",   "otp",       "verification", "tlm",      "signal",
    "telegram",    "viber",    "pager",    "voicemail", "hotline",      "helpline", "landline",
    "reach",       "reached",  "ph",       "voice",     "reachable",    "contact",  "contacted",
    "contacto",    "kontakt",  "handy",    "natel",     "ruf",          "festnetz", "portable",
    "joindre",     "fijo",     "fisso",    "móvil",     "movil",        "llame",    "llama",
    "llamar",      "ligue",    "ligar",    "liga",      "bel",          "bellen",   "chiama",
    "chiamare",    "ringen",   "kom",      "тел",       "моб",          "answers",  "answering",
    "switchboard", "extension"};
constexpr std::array kCard = {"card",   "cards",  "visa",     "mastercard", "amex",   "discover",
                              "cc",     "pan",    "maestro",  "unionpay",   "jcb",    "diners",
                              "karte",  "carte",  "tarjeta",  "credit",     "debit",  "carta",
                              "cartão", "pay",    "paid",     "payment",    "charge", "charged",
                              "billed", "refund", "refunded", "debited",    "swipe"};
constexpr std::array kSsn = {"ssn", "ssns", "social", "socsec", "ss", "soc", "itin", "tin"};
constexpr std::array kOther = {
    "order",     "orders",     "invoice",     "ticket",       "tickets",      "case",
    "iban",      "isbn",       "issn",        "ean",          "upc",          "gtin",
    "imei",      "iccid",      "vin",         "doi",          "part",         "parts",
    "sku",       "serial",     "tracking",    "parcel",       "shipment",     "waybill",
    "awb",       "ref",        "reference",   "version",      "build",        "model",
    "item",      "product",    "batch",       "lot",          "policy",       "ids",
    "code",      "codes",      "zip",         "postcode",     "timestamp",    "epoch",
    "unix",      "hash",       "checksum",    "commit",       "port",         "error",
    "errno",     "pid",        "page",        "pages",        "room",         "po",
    "patent",    "license",    "licence",     "latitude",     "longitude",    "lat",
    "lon",       "lng",        "coordinates", "confirmation", "receipt",      "transaction",
    "account",   "accounts",   "acct",        "routing",      "quote",        "sensor",
    "seq",       "sequence",   "barcode",     "asset",        "catalog",      "catalogue",
    "article",   "release",    "firmware",    "revision",     "log",          "row",
    "record",    "offset",     "bytes",       "byte",         "size",         "total",
    "price",     "cost",       "sum",         "population",   "issue",        "bug",
    "pr",        "request",    "job",         "session",      "flight",       "nhs",
    "chi",       "health",     "medicare",    "mrn",          "npi",          "passport",
    "nino",      "insurance",  "booking",     "reservation",  "registration", "vat",
    "ein",       "siren",      "siret",       "abn",          "acn",          "tfn",
    "sin",       "cpr",        "duns",        "cusip",        "isin",         "swift",
    "bic",       "sort",       "voucher",     "coupon",       "pin",          "style",
    "token",     "key",        "uuid",        "guid",         "rma",          "docket",
    "score",     "budget",     "revenue",     "views",        "followers",    "likes",
    "media",     "ratio",      "isrc",        "oclc",         "pmid",         "arxiv",
    "rfc",       "cve",        "iso",         "meter",        "mac",          "ip",
    "konto",     "rechnung",   "auftrag",     "artikel",      "sendung",      "commande",
    "facture",   "colis",      "dossier",     "pedido",       "factura",      "envío",
    "cuenta",    "ordine",     "fattura",     "заказ",        "счет",         "счёт",
    "encomenda", "bestelling", "zamówienie",  "zamówienia",   "inventory"};

struct Part {
  std::string_view text;
  NumberHint hint;
};
// The first one that the word contains counts.
constexpr std::array kParts = {
    Part{"ssn", NumberHint::ssn},           Part{"socialsec", NumberHint::ssn},
    Part{"sozialversich", NumberHint::ssn}, Part{"社会保障", NumberHint::ssn},
    Part{"社会安全", NumberHint::ssn},      Part{"phone", NumberHint::phone},
    Part{"telef", NumberHint::phone},       Part{"teléf", NumberHint::phone},
    Part{"téléph", NumberHint::phone},      Part{"mobile", NumberHint::phone},
    Part{"mobilfunk", NumberHint::phone},   Part{"mobilnum", NumberHint::phone},
    Part{"mobilnr", NumberHint::phone},     Part{"handynum", NumberHint::phone},
    Part{"handynr", NumberHint::phone},     Part{"celular", NumberHint::phone},
    Part{"cellula", NumberHint::phone},     Part{"cellnum", NumberHint::phone},
    Part{"whatsapp", NumberHint::phone},    Part{"rufnummer", NumberHint::phone},
    Part{"anruf", NumberHint::phone},       Part{"rückruf", NumberHint::phone},
    Part{"appele", NumberHint::phone},      Part{"llám", NumberHint::phone},
    Part{"zadzwo", NumberHint::phone},      Part{"komórk", NumberHint::phone},
    Part{"puhelin", NumberHint::phone},     Part{"contactn", NumberHint::phone},
    Part{"faxn", NumberHint::phone},        Part{"елефон", NumberHint::phone},
    Part{"звони", NumberHint::phone},       Part{"мобильн", NumberHint::phone},
    Part{"電話", NumberHint::phone},        Part{"携帯", NumberHint::phone},
    Part{"电话", NumberHint::phone},        Part{"手机", NumberHint::phone},
    Part{"전화", NumberHint::phone},        Part{"휴대폰", NumberHint::phone},
    Part{"kreditkart", NumberHint::card},   Part{"creditcard", NumberHint::card},
    Part{"kartennum", NumberHint::card},    Part{"cardn", NumberHint::card},
    Part{"カード", NumberHint::card},       Part{"信用卡", NumberHint::card},
    Part{"bestell", NumberHint::other},     Part{"rechnungs", NumberHint::other},
    Part{"auftrags", NumberHint::other},    Part{"kunden", NumberHint::other},
    Part{"kontonum", NumberHint::other},    Part{"kontonr", NumberHint::other},
    Part{"sendungs", NumberHint::other},    Part{"artikel", NumberHint::other},
    Part{"invoice", NumberHint::other},     Part{"ordern", NumberHint::other},
    Part{"orderid", NumberHint::other},     Part{"tracking", NumberHint::other},
    Part{"serialn", NumberHint::other},     Part{"timestamp", NumberHint::other},
    Part{"accountn", NumberHint::other},    Part{"注文", NumberHint::other},
    Part{"発注", NumberHint::other},        Part{"订单", NumberHint::other}};

constexpr std::array kPersonal = {
    "my",    "his",     "her",   "their",  "our",     "your", "ur",   "new",      "old",
    "right", "correct", "best",  "direct", "private", "work", "home", "personal", "meine",
    "deine", "seine",   "ihre",  "unsere", "neue",    "mijn", "jouw", "mon",      "ton",
    "son",   "votre",   "notre", "mi",     "tu",      "su",   "mio",  "tuo",      "suo",
    "meu",   "seu",     "mój",   "moj",    "twój",    "мой",  "твой", "ваш",      "min"};
constexpr std::array kNumber = {"number", "numbers", "nummer", "numéro", "numero", "número",
                                "numer",  "номер",   "num",    "nr",     "no"};

using Words = std::unordered_set<std::string_view>;

const std::unordered_map<std::string_view, NumberHint>& whole_words() {
  static const auto* table = [] {
    auto* map = new std::unordered_map<std::string_view, NumberHint>;
    for (const char* word : kPhone) map->emplace(word, NumberHint::phone);
    for (const char* word : kCard) map->emplace(word, NumberHint::card);
    for (const char* word : kSsn) map->emplace(word, NumberHint::ssn);
    for (const char* word : kOther) map->emplace(word, NumberHint::other);
    return map;
  }();
  return *table;
}

}  // namespace

NumberHint hint_of_word(std::string_view word) {
  const auto whole = whole_words().find(word);
  if (whole != whole_words().end()) return whole->second;
  const auto* part = std::find_if(kParts.begin(), kParts.end(), [&](const Part& one) {
    return one.text.size() <= word.size() && word.find(one.text) != word.npos;
  });
  return part == kParts.end() ? NumberHint::none : part->hint;
}

bool makes_number_personal(std::string_view word) {
  static const auto* words = new Words(kPersonal.begin(), kPersonal.end());
  return words->contains(word);
}

bool is_number_word(std::string_view word) {
  static const auto* words = new Words(kNumber.begin(), kNumber.end());
  return words->contains(word);
}

}  // namespace dbrx
