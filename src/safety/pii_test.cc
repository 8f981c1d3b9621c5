#include "safety/pii.h"

#include "safety/number_hint.h"
#include "safety/testing.h"

namespace dbrx {
namespace {

using Found = std::vector<std::string>;

Found pii(const std::string& text) {
  static const auto filter = make_pii_filter();
  return found_in(*filter, text);
}

TEST(Pii, finds_email_addresses_and_leaves_the_sentence_around_them) {
  EXPECT_EQ(pii("Write to jane.doe+shop@mail.example.co.uk."),
            Found{"email: jane.doe+shop@mail.example.co.uk"});
  EXPECT_EQ(pii("<o'brien@x-y.com>, (a_b%c@d.museum)!"),
            (Found{"email: o'brien@x-y.com", "email: a_b%c@d.museum"}));
  EXPECT_EQ(pii("mailto:jörg@müller.de"), Found{"email: jörg@müller.de"});
}

TEST(Pii, takes_no_handle_path_or_file_for_an_email_address) {
  EXPECT_EQ(
      pii("@jane, root@localhost, git@github.com:a/b.git, ssh://git@github.com/a, react@18.2.0, "
          "icon@2x.png, @types/node@20.1.1, a@b, x@@y.com"),
      Found{});
}

TEST(Pii, finds_ibans_in_their_country_s_length) {
  // The registry's own examples.
  EXPECT_EQ(pii("IBAN DE89 3704 0044 0532 0130 00 BIC COBADEFFXXX"),
            Found{"iban: DE89 3704 0044 0532 0130 00"});
  EXPECT_EQ(pii("to GB29NWBK60161331926819, please"), Found{"iban: GB29NWBK60161331926819"});
  EXPECT_EQ(pii("fr14-2004-1010-0505-0001-3M02-606"),
            Found{"iban: fr14-2004-1010-0505-0001-3M02-606"});
  EXPECT_EQ(pii("NO9386011117947"), Found{"iban: NO9386011117947"});
}

TEST(Pii, takes_no_number_with_a_wrong_check_for_an_iban) {
  EXPECT_EQ(pii("DE88 3704 0044 0532 0130 00"), Found{});
  EXPECT_EQ(pii("DE89 3704 0044 0532 0130 001"), Found{});
  EXPECT_FALSE(is_iban("DE89370400440532013001"));
  EXPECT_FALSE(is_iban("XX89370400440532013000"));
  EXPECT_FALSE(is_iban("DE"));
  EXPECT_TRUE(is_iban("mt84malt011000012345mtlcast001s"));
}

TEST(Pii, finds_card_numbers) {
  EXPECT_EQ(pii("Card 4111 1111 1111 1111 12/27 CVV 123"), Found{"card: 4111 1111 1111 1111"});
  EXPECT_EQ(pii("paid with 5555-5555-5555-4444."), Found{"card: 5555-5555-5555-4444"});
  EXPECT_EQ(pii("378282246310005 or 3782 822463 10005"),
            (Found{"card: 378282246310005", "card: 3782 822463 10005"}));
  EXPECT_EQ(pii("4111 1111 1111 1111 123"), Found{"card: 4111 1111 1111 1111"});
}

TEST(Pii, takes_no_number_with_a_wrong_check_for_a_card) {
  EXPECT_EQ(pii("4111 1111 1111 1112, 4111111111111112, 1717171717171, 9780306406157"), Found{});
  EXPECT_EQ(pii("IMEI 490154203237518, order 4111111111111111"), Found{});
}

TEST(Pii, luhn_finds_every_wrong_digit) {
  const std::string card = "4539578763621486";
  ASSERT_TRUE(satisfies_luhn(card));
  for (size_t i = 0; i < card.size(); ++i) {
    for (char digit = '0'; digit <= '9'; ++digit) {
      std::string changed = card;
      changed[i] = digit;
      EXPECT_EQ(satisfies_luhn(changed), digit == card[i]) << changed;
    }
  }
}

TEST(Pii, finds_social_security_numbers_of_the_usa) {
  EXPECT_EQ(pii("SSN: 536-22-1234."), Found{"ssn: 536-22-1234"});
  EXPECT_EQ(pii("tax ID 536-22-1234, SSN#536221234, SSN=536-22-1234"),
            (Found{"ssn: 536-22-1234", "ssn: 536221234", "ssn: 536-22-1234"}));
  EXPECT_EQ(pii("it is 536 22 1234"), Found{"ssn: 536 22 1234"});
  EXPECT_EQ(pii("social security number 536221234"), Found{"ssn: 536221234"});
}

TEST(Pii, takes_no_number_that_was_never_issued_for_a_social_security_number) {
  EXPECT_EQ(pii("000-12-3456, 666-12-3456, 912-12-3456, 536-00-1234, 536-22-0000"), Found{});
  EXPECT_EQ(pii("536221234, part no. 536-22-1234, 536-22 1234"), Found{});
}

TEST(Pii, finds_phone_numbers_in_international_form) {
  for (const std::string number :
       {"+1 415 555 2671", "+14155552671", "(+49) 170 1234567", "+44 20 7946 0958",
        "+44 (0)20 7946 0958", "+49 30/1234567", "+49-30-123456-78", "+33 1 23 45 67 89",
        "+91 98765 43210", "+91-80-2345-6789", "+61 2 9374 4000", "+81-3-1234-5678",
        "0049 30 1234567", "001-415-555-2671x123"}) {
    EXPECT_EQ(pii("at " + number + "."), Found{"phone: " + number});
  }
}

TEST(Pii, finds_phone_numbers_in_national_form) {
  for (const std::string number :
       {"(415) 555-2671", "415-555-2671",         "415.555.2671",  "415 555 2671",
        "1-800-555-0199", "415-555-2671 ext. 12", "020 7946 0958", "(020) 7946 0958",
        "(0161)4960453",  "01632 960 123",        "07700 900123",  "07700900123",
        "030 1234567",    "030/123 45 67",        "0151-23456789", "01 23 45 67 89",
        "01.23.45.67.89", "06 12 34 56 78",       "98765 43210",   "080-2345 6789",
        "0412 345 678",   "03-1234-5678"}) {
    EXPECT_EQ(pii("on " + number + ", please"), Found{"phone: " + number});
  }
}

TEST(Pii, finds_bare_digits_only_after_a_word_for_a_phone) {
  EXPECT_EQ(pii("Call 4155552671 now"), Found{"phone: 4155552671"});
  EXPECT_EQ(pii("my number is 9876543210"), Found{"phone: 9876543210"});
  EXPECT_EQ(pii("Tel.: 555-2671"), Found{"phone: 555-2671"});
  EXPECT_EQ(pii("Ann Lee\n4155552671\n7155552671"), Found{"phone: 4155552671"});
  EXPECT_EQ(pii("There are 4155552671 of them"), Found{});
  EXPECT_EQ(pii("Call about order 4155552671"), Found{});
}

TEST(Pii, takes_no_other_number_for_a_phone) {
  EXPECT_EQ(pii("ISBN 978-3-16-148410-0, 2024-05-17 10:22:33, 17.05.2024 12 Uhr, 10.0.0.1, "
                "255.255.255.255, "
                "v1.22.333, 1,234,567.89, UTC+0200, 2024-05-17T10:22:33+0200, 02139-4307, "
                "550e8400-e29b-41d4-a716-446655440000, order 415-555-2671, SKU-415-555-2671, "
                "$415 555 2671, call on 17.05.2024 or 2024-05-17, 3.14159265358979"),
            Found{});
}

void expect_one(const std::string& text, const std::string& found) {
  EXPECT_EQ(pii(text), Found{found}) << text;
}

TEST(Pii, finds_email_addresses_that_are_written_otherwise) {
  expect_one("jane (at) example (dot) com", "email: jane (at) example (dot) com");
  expect_one("jane[at]example.com", "email: jane[at]example.com");
  expect_one("it's jane.doe at example dot com, ok", "email: jane.doe at example dot com");
  expect_one("\"john doe\"@example.com", "email: \"john doe\"@example.com");
  expect_one("用户@例子.广告", "email: 用户@例子.广告");
  expect_one("foo@163.com谢谢", "email: foo@163.com");
  expect_one("https://x.org/stop/anna@x.com", "email: anna@x.com");
}

TEST(Pii, finds_what_escapes_hide) {
  expect_one(R"({"email":"anna\u0040example.com"})", R"(email: anna\u0040example.com)");
  expect_one(R"("Hi\n415-555-2671")", "phone: 415-555-2671");
  expect_one("?phone=%2B49301234567&x", "phone: %2B49301234567");
  expect_one("mail=anna%40example.com&x", "email: anna%40example.com");
  expect_one("+49&nbsp;30&nbsp;1234567", "phone: +49&nbsp;30&nbsp;1234567");
  expect_one("４１１１ １１１１ １１１１ １１１１", "card: ４１１１ １１１１ １１１１ １１１１");
}

TEST(Pii, finds_escapes_in_a_long_text) {
  std::string text(5000, '%');
  for (int i = 0; i < 300; ++i) text += " anna%40example.com and 100% more,";
  EXPECT_EQ(pii(text).size(), 300U);
}

TEST(Pii, takes_no_file_service_version_or_prompt_for_an_email_address) {
  EXPECT_EQ(
      pii("icon@3x.retina.jpg, getty@tty1.service, react@18.2.0-beta.rc, @jane@mastodon.social, "
          "https://user:token@github.com/org/repo, root@web.example.com:~#, look at example dot "
          "com"),
      Found{});
}

TEST(Pii, finds_numbers_with_any_signs_between_their_groups) {
  expect_one("card 4111_1111_1111_1111", "card: 4111_1111_1111_1111");
  expect_one("4111/1111/1111/1111", "card: 4111/1111/1111/1111");
  expect_one("4111\u200b1111\u200b1111\u200b1111", "card: 4111\u200b1111\u200b1111\u200b1111");
  expect_one("4111 1111-1111 1111", "card: 4111 1111-1111 1111");
  expect_one("416983 3258384023525", "card: 416983 3258384023525");
  expect_one("at 415\u2011555\u20112671", "phone: 415\u2011555\u20112671");
  expect_one("ssn 536 - 22 - 1234", "ssn: 536 - 22 - 1234");
  expect_one("12/27 4111 1111 1111 1111", "card: 4111 1111 1111 1111");
}

TEST(Pii, finds_numbers_in_rows_of_tables) {
  expect_one("12,415-555-2671,2024-01-01,Denver", "phone: 415-555-2671");
  expect_one("3,Ann,536-22-1234,2024", "ssn: 536-22-1234");
  expect_one("17,4111111111111111,12/26", "card: 4111111111111111");
  expect_one("Ann;916 708 465;Lisbon", "phone: 916 708 465");
}

TEST(Pii, finds_phone_numbers_of_more_countries) {
  for (const std::string number :
       {"612 34 56 78", "(11) 91234-5678", "8 (912) 345-67-89", "8 495 123-45-67", "532 123 45 67",
        "138 1234 5678", "(22) 123 45 67", "91-9876543210", "+1.4155552671",
        "+33 (0)1 23 45 67 89"}) {
    EXPECT_EQ(pii("at " + number + " now"), Found{"phone: " + number});
  }
}

TEST(Pii, finds_numbers_by_words_of_other_languages_and_labels) {
  expect_one("Meine neue Nummer: 3012345678", "phone: 3012345678");
  expect_one("电话号码是13812345678，谢谢", "phone: 13812345678");
  expect_one("Тел. 9123456789", "phone: 9123456789");
  expect_one("Late order? 415-555-2671", "phone: 415-555-2671");
  expect_one("T: 3471504145", "phone: 3471504145");
  expect_one("S.S.N.: 536221234", "ssn: 536221234");
  expect_one("\"socialSecurityNumber\":\"536221234\"", "ssn: 536221234");
  expect_one("Social Security card, 536221234", "ssn: 536221234");
  expect_one("ITIN 912-78-1234", "ssn: 912-78-1234");
}

TEST(Pii, finds_bare_digits_before_a_word_that_says_what_they_are) {
  expect_one("4155552671 is my cell", "phone: 4155552671");
  expect_one("Is 4155552671 still the right number?", "phone: 4155552671");
  expect_one("4155552671-Office", "phone: 4155552671");
  expect_one("536221234 is really my SSN", "ssn: 536221234");
  EXPECT_EQ(pii("4155552671 is the order number"), Found{});
  EXPECT_EQ(pii("The 2019 2020 2021 phone models"), Found{});
}

TEST(Pii, takes_no_number_of_another_kind) {
  for (const std::string text : {"NHS number 943 476 5919",
                                 "we reached 2 500 000 users",
                                 "text 20240804",
                                 "Buffer 04 03 02 01 08 07 06 05",
                                 "5421 5457 5459 5423 5432 5482",
                                 "y = x * 69069 + 907133923",
                                 "call in 2024 2025 2026",
                                 "ssh -p 22 deploy@web-01.example.com",
                                 "phone: 000-000-0000",
                                 "contact server 192.168.100.200 now",
                                 "+48.858370, +2.294481",
                                 "IBAN GB38 FVCZ 0159 1213 9077 10",
                                 "SSN 078-05-1120",
                                 "SSN 912-34-5678",
                                 "Order 0155-512-345 is late",
                                 "600 700 800 EUR",
                                 "DHL 0034 0434 1614 5432 1098",
                                 "S/N 415-555-2671",
                                 "routing number 021000021, account 0123456789",
                                 "0123 4567 8901 2345"}) {
    EXPECT_EQ(pii(text), Found{}) << text;
  }
}

TEST(Pii, an_empty_text_and_the_end_of_a_match_are_no_trouble) {
  EXPECT_EQ(pii(""), Found{});
  EXPECT_EQ(pii("a@b.de"), Found{"email: a@b.de"});
}

TEST(NumberHint, is_of_the_last_word_that_says_something) {
  EXPECT_EQ(number_hint("Call him about order no. "), NumberHint::other);
  EXPECT_EQ(number_hint("Order by PHONE: "), NumberHint::phone);
  EXPECT_EQ(number_hint("order 12, then "), NumberHint::none);
  EXPECT_EQ(number_hint("Her number is "), NumberHint::phone);
  EXPECT_EQ(number_hint("the number is "), NumberHint::none);
  EXPECT_EQ(number_hint("Téléphone : "), NumberHint::phone);
  EXPECT_EQ(number_hint("Tax ID: "), NumberHint::ssn);
  EXPECT_EQ(number_hint("call ID "), NumberHint::other);
  EXPECT_EQ(number_hint("ID "), NumberHint::other);
  EXPECT_EQ(number_hint("ean13: "), NumberHint::other);
  EXPECT_EQ(number_hint("order it, and say when you come to "), NumberHint::none);
  EXPECT_EQ(number_hint(""), NumberHint::none);
}

}  // namespace
}  // namespace dbrx
