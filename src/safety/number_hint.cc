#include "safety/number_hint.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <string>
#include <unordered_map>

namespace dbrx {
namespace {

// Lower case. English, and the words for telephone of some neighbours.
const std::unordered_map<std::string_view, NumberHint>& hints() {
  static const auto* table = [] {
    auto* map = new std::unordered_map<std::string_view, NumberHint>;
    constexpr std::array kPhone = {
        "phone",       "phones",    "telephone", "tel",       "cell",          "cellphone",
        "cellular",    "mobile",    "mob",       "fax",       "call",          "calls",
        "called",      "calling",   "callback",  "dial",      "dialing",       "dialed",
        "ring",        "rang",      "text",      "texted",    "texting",       "sms",
        "whatsapp",    "signal",    "telegram",  "voicemail", "hotline",       "helpline",
        "landline",    "reach",     "reached",   "reachable", "contact",       "contacted",
        "switchboard", "extension", "pager",     "telefon",   "telefonnummer", "handy",
        "handynummer", "rufnummer", "anrufen",   "ruf",       "mobil",         "festnetz",
        "téléphone",   "portable",  "appelez",   "appeler",   "joindre",       "teléfono",
        "móvil",       "celular",   "llame",     "llamar",    "telefono",      "cellulare",
        "telefone",    "ph",        "voice",     "answering", "answers"};
    constexpr std::array kCard = {"card",     "cards",       "visa",  "mastercard", "amex",
                                  "discover", "credit",      "debit", "cc",         "pan",
                                  "karte",    "kreditkarte", "carte", "tarjeta"};
    constexpr std::array kSsn = {"ssn", "ssns", "social", "socsec", "ss"};
    constexpr std::array kOther = {"order",         "orders",      "invoice",
                                   "ticket",        "tickets",     "case",
                                   "isbn",          "issn",        "ean",
                                   "upc",           "gtin",        "imei",
                                   "vin",           "doi",         "part",
                                   "sku",           "serial",      "tracking",
                                   "parcel",        "shipment",    "ref",
                                   "reference",     "version",     "build",
                                   "model",         "item",        "product",
                                   "batch",         "lot",         "policy",
                                   "ids",           "code",        "zip",
                                   "postcode",      "timestamp",   "epoch",
                                   "unix",          "hash",        "checksum",
                                   "commit",        "port",        "error",
                                   "errno",         "pid",         "page",
                                   "pages",         "room",        "po",
                                   "patent",        "license",     "licence",
                                   "latitude",      "longitude",   "confirmation",
                                   "receipt",       "transaction", "account",
                                   "acct",          "routing",     "quote",
                                   "sensor",        "seq",         "sequence",
                                   "barcode",       "asset",       "catalog",
                                   "catalogue",     "article",     "release",
                                   "firmware",      "revision",    "log",
                                   "row",           "record",      "offset",
                                   "bytes",         "byte",        "size",
                                   "total",         "price",       "cost",
                                   "sum",           "population",  "issue",
                                   "bug",           "pr",          "request",
                                   "job",           "session",     "flight",
                                   "bestellnummer", "rechnung",    "rechnungsnummer",
                                   "kundennummer",  "commande",    "pedido"};
    for (const char* word : kPhone) map->emplace(word, NumberHint::phone);
    for (const char* word : kCard) map->emplace(word, NumberHint::card);
    for (const char* word : kSsn) map->emplace(word, NumberHint::ssn);
    for (const char* word : kOther) map->emplace(word, NumberHint::other);
    return map;
  }();
  return *table;
}

bool is_letter(char c) { return (c & 0x80) != 0 || std::isalpha(static_cast<uint8_t>(c)) != 0; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_word_byte(char c) { return is_letter(c) || is_digit(c); }

// The last word of the text, which loses it, without digits at its end ("ean13" is "ean"); "" at a
// number or the begin.
std::string last_word(std::string_view& text) {
  while (!text.empty() && !is_word_byte(text.back())) text.remove_suffix(1);
  while (!text.empty() && is_digit(text.back())) text.remove_suffix(1);
  std::string word;
  for (; !text.empty() && is_letter(text.back()); text.remove_suffix(1)) {
    word += static_cast<char>(std::tolower(static_cast<uint8_t>(text.back())));
  }
  std::reverse(word.begin(), word.end());
  return word;
}

bool is_possessive(std::string_view word) {
  return word == "my" || word == "his" || word == "her" || word == "their" || word == "our" ||
         word == "your";
}

}  // namespace

NumberHint number_hint(std::string_view before) {
  constexpr int kNear = 3;    // a word farther away does not say that it is no phone number
  bool is_number_of = false;  // "number" was the word after this one
  int n_words = 0;
  bool is_id = false;  // the same of "id"
  for (std::string word = last_word(before); !word.empty(); word = last_word(before)) {
    ++n_words;
    if (is_id) return word == "tax" || word == "taxpayer" ? NumberHint::ssn : NumberHint::other;
    is_id = word == "id" && n_words <= kNear;
    const auto hint = hints().find(word);
    if (hint != hints().end() && (hint->second != NumberHint::other || n_words <= kNear)) {
      return hint->second;
    }
    if (is_number_of && is_possessive(word)) return NumberHint::phone;  // "my number"
    is_number_of = word == "number";
  }
  return is_id ? NumberHint::other : NumberHint::none;
}

}  // namespace dbrx
