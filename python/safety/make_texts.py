"""Texts with and without personal data, for the test of the filter "pii": testdata/safety/texts.jsonl.

Wordings of the texts are the templates of presidio-research (MIT), values those of Faker's locales; the lines of
`labelled`, and what `broken` breaks, are made here. Usage, in an environment with the packages of requirements.txt:

    python make_texts.py > ../../testdata/safety/texts.jsonl

Each line is {"text", "values": [[kind, value], ...]}; a text without personal data has no values.
"""

import datetime
import importlib.util
import json
import pathlib
import random
import re

from faker import Faker

SEED = 20261125
PER_KIND = 200
END = datetime.datetime(2026, 1, 1)  # of dates: Faker's default is now, which would change the file
PHONE_LOCALES = ["en_US", "en_US", "en_GB", "de_DE", "fr_FR", "en_IN", "en_AU", "es_ES", "it_IT", "nl_NL"]
IBAN_LOCALES = ["en_GB", "de_DE", "fr_FR", "it_IT", "es_ES", "nl_NL", "pl_PL", "de_AT", "de_CH", "sv_SE"]
KINDS = {"email": "email", "phone_number": "phone", "credit_card_number": "card", "iban": "iban", "ssn": "ssn"}


def locale(rng, names):
    fake = Faker(rng.choice(names))
    fake.seed_instance(rng.getrandbits(32))
    return fake


def grouped(rng, text, sizes):
    """The text in groups, by spaces, dashes or nothing."""
    separator = rng.choice(["", " ", " ", "-"])
    groups = []
    for size in sizes:
        groups.append(text[:size])
        text = text[size:]
    return separator.join(group for group in [*groups, text] if group)


def email(rng):
    fake = locale(rng, PHONE_LOCALES)
    return rng.choice([fake.email, fake.free_email, fake.company_email, fake.ascii_safe_email])()


def card(rng):
    fake = locale(rng, ["en_US"])
    number = fake.credit_card_number()
    while len(number) < 13:  # Faker has some of 12; cards here are of 13 to 19 digits
        number = fake.credit_card_number()
    return grouped(rng, number, [4, 6] if len(number) == 15 else [4, 4, 4])


def iban(rng):
    text = locale(rng, IBAN_LOCALES).iban()
    return text if rng.random() < 0.4 else " ".join(re.findall(".{1,4}", text))


def ssn(rng):
    text = locale(rng, ["en_US"]).ssn()
    return rng.choice([text, text, text, text.replace("-", " "), text.replace("-", "")])


VALUES = {"email": email, "phone": lambda rng: locale(rng, PHONE_LOCALES).phone_number(), "card": card, "iban": iban,
          "ssn": ssn}


def other_digit(rng, digit):
    return rng.choice([d for d in "0123456789" if d != digit])


def broken(rng, kind):
    """What looks like a value of the kind and is none."""
    if kind == "email":
        return "@" + locale(rng, ["en_US"]).user_name()
    if kind == "ssn":
        return rng.choice(["000", "666", "9" + VALUES["ssn"](rng)[1:3]]) + locale(rng, ["en_US"]).ssn()[3:]
    text = VALUES[kind](rng)
    at = rng.choice([i for i, c in enumerate(text) if c.isdigit() and (kind == "card" or i > 1)])
    return text[:at] + other_digit(rng, text[at]) + text[at + 1:]


def fields(fake):
    """A value for each placeholder of the templates that is none of the kinds."""
    return {
        "organization": fake.company, "person": fake.name, "name": fake.name, "name_male": fake.name_male,
        "name_female": fake.name_female, "first_name": fake.first_name, "first_name_male": fake.first_name_male,
        "first_name_female": fake.first_name_female, "first_name_nonbinary": fake.first_name_nonbinary,
        "last_name": fake.last_name, "last_name_male": fake.last_name_male, "last_name_female": fake.last_name_female,
        "prefix": fake.prefix, "prefix_male": fake.prefix_male, "prefix_female": fake.prefix_female,
        "city": fake.city, "country": fake.country, "address": fake.address, "street_name": fake.street_name,
        "building_number": fake.building_number, "secondary_address": fake.secondary_address,
        "state_abbr": fake.state_abbr, "postcode": fake.postcode, "zipcode": fake.zipcode, "url": fake.url,
        "ip_address": fake.ipv4, "age": lambda: fake.random_int(18, 99), "year": lambda: fake.date("%Y", end_datetime=END), "job": fake.job,
        "date_time": lambda: fake.date(end_datetime=END),
        "date_of_birth": lambda: fake.date(fake.random_element(["%d/%m/%Y", "%B %d, %Y"]), end_datetime=END),
        "day_of_week": fake.day_of_week, "nationality": fake.country, "nation_woman": fake.country,
        "nation_plural": fake.country, "us_driver_license": lambda: fake.bothify("?#######"),
    }


def fill(rng, template, value_of_kind):
    values = []
    fake = locale(rng, ["en_US"])
    others = fields(fake)

    def value(match):
        name = match.group(1)
        if name not in KINDS:
            return str(others[name]())
        values.append([KINDS[name], value_of_kind(rng, KINDS[name])])
        return values[-1][1]

    text = re.sub(r"\{\{\s*(\w+)\s*\}\}", value, template)
    return {"text": text, "values": values}


def kinds_of(template):
    return {KINDS[name] for name in re.findall(r"\{\{\s*(\w+)\s*\}\}", template) if name in KINDS}


def labelled(rng):
    """A line as of a log or a table: names of Faker's providers with their values."""
    fake = locale(rng, ["en_US"])
    names = ["isbn10", "isbn13", "ean13", "ean8", "uuid4", "md5", "sha1", "ipv4", "ipv6", "mac_address", "iso8601",
             "unix_time", "date", "time", "pricetag", "vin", "license_plate", "bban", "port_number", "postcode",
             "latitude", "longitude", "user_name", "uri", "file_path", "hex_color", "linux_processor", "user_agent",
             "aba", "ein", "zipcode_plus4", "swift11", "random_int", "upc_a"]
    dated = {"iso8601", "unix_time", "date", "time"}

    def part(name):
        value = getattr(fake, name)(**({"end_datetime": END} if name in dated else {}))
        return f"{name}{rng.choice([': ', '=', ' '])}{value}"

    parts = [part(name) for name in rng.sample(names, 3)]
    return {"text": rng.choice([", ", "; ", " | ", "\n"]).join(parts), "values": []}


def templates():
    package = pathlib.Path(importlib.util.find_spec("presidio_evaluator").origin).parent
    lines = (package / "data_generator/raw_data/templates.txt").read_text(encoding="utf-8").splitlines()
    return [line.strip().replace("\\n", "\n") for line in lines if line.strip()]


def texts():
    rng = random.Random(SEED)
    every = templates()
    for kind in VALUES:
        of_kind = [t for t in every if kind in kinds_of(t)]
        for i in range(PER_KIND):
            yield fill(rng, of_kind[i % len(of_kind)], lambda rng, kind: VALUES[kind](rng))
    without = [t for t in every if not kinds_of(t)]
    for i in range(400):
        yield fill(rng, without[i % len(without)], None)
    breakable = [t for t in every if kinds_of(t) and "phone" not in kinds_of(t)]
    for i in range(300):
        yield {**fill(rng, breakable[i % len(breakable)], broken), "values": []}
    for _ in range(300):
        yield labelled(rng)


if __name__ == "__main__":
    for line in texts():
        print(json.dumps(line, ensure_ascii=False))
