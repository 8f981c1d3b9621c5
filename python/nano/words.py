"""Names, values and wordings from which every task of dbrx-nano builds its text.

The split between training and held-out data is decided here, by two rules:
an entity (a person, company, place, product) is held out when a hash of its letters says so, and a
wording is held out when it stands in the `held` list of its `Wordings`.
Most entities are made of random syllables, so a model must learn to copy them, not to know them.
"""

import random
import re
import zlib

HELD_OUT_SHARE = 6  # one entity in six is held out

ONSETS = ("b c d f g h j k l m n p r s t v w z b c d f g h k l m n p r s t v br cr dr fr gr pl pr st tr th"
          " ch sk bl cl fl gl sl sw y").split()
VOWELS = "a e i o u a e i o u a e i o ai ea io ou".split()
CODAS = ["", "", "", "", "", "", "n", "r", "l", "s", "m", "t", "k", "x", "nd", "rn", "lt", "st", "d"]
UGLY = re.compile(r"fu[ck]|shi[tz]|cunt|cu[mn]t?$|ni[gk]+[aeor]|fag|tit|co[ck]+|di[ck]+|rape|ass$|pis|sex|nazi|kil+|porn|slut|"
                  r"who[ra]|twat|wan[ck]|anus|fart|poo|turd|crap|dam[mn]|hitl|jew|homo|gook|spi[ck]|slav|die")

FIRST = """Anna Peter Maria John Laura Omar Sofia David Emma Lucas Nina Paul Clara Ivan Julia Mark Elena
Tom Sara Felix Amir Helen Victor Alice Daniel Grace Henry Irene Jack Karen Leo Mona Nora Oscar Petra Quinn
Rosa Simon Tanya Ursula Walter Yara Zoe Adam Bella Carl Diana Eric Fiona George Hana Ian Jane Kevin Lily
Martin Nadia Olga Priya Ravi Stella Theo Vera Wendy Samir Chloe Ben Ruth Hugo""".split()
LAST = """Smith Jones Brown Garcia Miller Davis Lopez Wilson Anderson Thomas Taylor Moore Jackson White Harris
Clark Lewis Young King Wright Hill Green Adams Baker Nelson Carter Mitchell Perez Roberts Turner Phillips
Campbell Parker Evans Edwards Collins Stewart Morris Rogers Reed Cook Morgan Bell Murphy Bailey Cooper
Richardson Cox Howard Ward Peterson Gray James Watson Brooks Kelly Sanders Price Bennett Wood Fischer Weber
Schmidt Kowalski Rossi Silva Tanaka Singh Kim Chen Novak Haddad Larsen Dubois""".split()
CITIES = """Paris London Berlin Madrid Rome Vienna Oslo Lisbon Dublin Prague Athens Warsaw Boston Chicago
Denver Seattle Austin Dallas Toronto Sydney Tokyo Delhi Lima Quito Cairo Lagos Nairobi Geneva Zurich Milan
Turin Munich Hamburg Lyon Bordeaux Porto Seville Bergen Helsinki Riga Vilnius Tallinn Krakow Brno Graz
Basel Utrecht Ghent Leeds Bristol Glasgow Cardiff Perth Osaka Busan Manila Hanoi Bogota Santiago""".split()
GOODS = """lamp chair desk table monitor keyboard printer scanner router phone tablet camera speaker kettle
toaster blender heater fan drill hammer saw ladder pump filter valve cable charger battery helmet jacket boots
gloves backpack tent bicycle scooter mirror carpet sofa shelf cabinet clock watch guitar piano bottle mug
notebook pen stapler projector microphone headset sensor motor switch""".split()
COMPANY_TAILS = ["Ltd", "Inc", "GmbH", "Group", "Labs", "Foods", "Systems", "Partners", "Motors", "Energy",
                 "Logistics", "Bank", "Media", "Health", "Software", "Tools", "Stores", "Corp"]
COLOURS = "red blue green black white yellow orange purple brown grey pink silver".split()
DEPARTMENTS = ["sales", "finance", "legal", "marketing", "support", "research", "design", "security",
               "logistics", "training", "purchasing", "quality"]
JOBS = ["engineer", "nurse", "teacher", "lawyer", "driver", "baker", "pilot", "doctor", "painter", "farmer",
        "chemist", "architect", "carpenter", "editor", "analyst", "plumber", "chef", "librarian"]
DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
MONTHS = ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
          "November", "December"]
STREETS = ["Street", "Road", "Avenue", "Lane", "Square", "Court", "Drive"]


def is_held_out(text):
    """Whether the entity belongs to the held-out side; letters only, so spelling of case is no way round."""
    letters = re.sub(r"[^a-z]", "", text.lower())
    return zlib.crc32(letters.encode()) % HELD_OUT_SHARE == 0


class Wordings:
    """The ways to say one thing: `train` for training, `held` only for the held-out split."""

    def __init__(self, train, held):
        self.train, self.held = train, held


_CHOICE = re.compile(r"\[([^\[\]]*)\]")


class Maker:
    """A seeded source of entities and wordings for one split ("train" or "held")."""

    def __init__(self, seed, split):
        self.rng = random.Random(seed)
        self.split = split

    # --- wordings ---
    def spin(self, text):
        """Resolves `<a|b|c>` style choices written as [a|b|c]; innermost first."""
        while True:
            text, n = _CHOICE.subn(lambda m: self.rng.choice(m.group(1).split("|")), text)
            if n == 0:
                return text

    def say(self, wordings, **fields):
        """One wording of this split with its fields filled in; fields may hold brackets safely."""
        chosen = self.rng.choice(wordings.held if self.split == "held" else wordings.train)
        text = self.spin(chosen)
        return re.sub(r"\{(\w+)\}", lambda m: str(fields[m.group(1)]), text)

    def chance(self, p):
        return self.rng.random() < p

    def number(self, low, high):
        return self.rng.randint(low, high)

    def choice(self, items):
        return self.rng.choice(items)

    # --- entities: always of this split ---
    def _own(self, make):
        want = self.split == "held"
        while True:
            text = make()
            if is_held_out(text) == want:
                return text

    def syllable(self):
        return self.rng.choice(ONSETS) + self.rng.choice(VOWELS) + self.rng.choice(CODAS)

    def word(self, low=2, high=3):
        """A lower-case invented word of this split."""
        while True:
            word = self._own(lambda: "".join(self.syllable() for _ in range(self.rng.randint(low, high))))
            if not UGLY.search(word):
                return word

    def name_word(self, low=2, high=3):
        return self.word(low, high).capitalize()

    def first(self):
        return self._own(lambda: self.choice(FIRST)) if self.chance(0.4) else self.name_word(1, 2)

    def last(self):
        return self._own(lambda: self.choice(LAST)) if self.chance(0.3) else self.name_word(2, 3)

    def person(self):
        return f"{self.first()} {self.last()}"

    def city(self):
        return self._own(lambda: self.choice(CITIES)) if self.chance(0.3) else self.name_word(2, 3)

    def company(self):
        stem = self.last() if self.chance(0.2) else self.name_word(2, 3)
        return f"{stem} {self.choice(COMPANY_TAILS)}" if self.chance(0.85) else stem

    def product(self):
        """A brand word and a kind, such as "Zelkor lamp"; the brand is what is split."""
        brand = self.name_word(1, 3)
        text = f"{brand} {self.choice(GOODS)}"
        return f"{text} {self.number(2, 90)}" if self.chance(0.15) else text

    # --- values without a side: numbers, dates, codes ---
    def digits(self, n):
        return "".join(self.rng.choice("0123456789") for _ in range(n))

    def letters(self, n):
        return "".join(self.rng.choice("ABCDEFGHJKLMNPQRSTUVWXYZ") for _ in range(n))

    def code(self, prefixes):
        """An identifier such as INV-20418, A7731, TK/88-12."""
        n = self.digits(self.number(3, 6))
        shape = self.number(0, 3)
        if shape == 0:
            return f"{self.letters(self.number(1, 3))}{n}"
        if shape == 1:
            return f"{self.letters(2)}-{n}"
        return f"{self.choice(prefixes)}-{n}"

    def date(self):
        day, month, year = self.number(1, 28), self.number(1, 12), self.number(2019, 2029)
        shape = self.number(0, 3)
        if shape == 0:
            return f"{day} {MONTHS[month - 1]} {year}"
        if shape == 1:
            return f"{MONTHS[month - 1]} {day}"
        return f"{year}-{month:02d}-{day:02d}"

    def clock(self):
        return f"{self.number(7, 19)}:{self.choice(['00', '15', '30', '45'])}"

    def money(self):
        """An amount as it is written in text and, unchanged, as a JSON number."""
        whole = self.number(2, 9999) if self.chance(0.5) else self.number(2, 500)
        return f"{whole}.{self.number(10, 99)}" if self.chance(0.5) else str(whole)

    def email(self, person=None):
        user = re.sub(r"[^a-z]", ".", (person or self.person()).lower())
        if self.chance(0.3):
            user = user.split(".")[0] + str(self.number(1, 99))
        host = self.word(1, 2)
        return f"{user}@{host}.{self.choice(['com', 'org', 'net', 'io', 'de', 'co.uk'])}"

    def phone(self):
        d = self.digits
        return self.choice([
            f"+{self.number(1, 99)} {d(3)} {d(4)}", f"+{self.number(1, 99)} {d(2)} {d(3)} {d(4)}",
            f"{d(3)}-{d(3)}-{d(4)}", f"({d(3)}) {d(3)}-{d(4)}", f"0{d(3)} {d(6)}", f"555-{d(4)}"])

    def street(self):
        if self.chance(0.8):
            return f"{self.number(1, 240)} {self.name_word(2, 3)} {self.choice(STREETS)}"
        return f"{self.name_word(2, 3)} {self.choice(STREETS)} {self.number(1, 240)}"
