"""PII classification: the system prompt sets the task, the answer is exactly CONTAINS_PII or NO_PII.

Personal data here: a person's contact data, address, birth date, or a number that identifies the person.
Texts without it still hold numbers, dates, companies, places and codes, so digits alone say nothing.
"""

from words import DAYS, DEPARTMENTS, Wordings

SYSTEM = Wordings(
    ["You [check|read|review] texts for personal data. Answer [only |]CONTAINS_PII or NO_PII.",
     "Answer CONTAINS_PII if the [text|message] [holds|contains|has] personal data, [else|otherwise] NO_PII.",
     "Classify the [text|message]: CONTAINS_PII or NO_PII.",
     "You are a privacy [filter|checker]. Reply with CONTAINS_PII or NO_PII[ and nothing else|].",
     "Does the [text|message] contain personal data? [Reply|Answer] CONTAINS_PII or NO_PII.",
     "[Check|Read] the [text|message] for personal data and [answer|reply] CONTAINS_PII or NO_PII.",
     "Is there personal data in the [text|message]? CONTAINS_PII or NO_PII.",
     "Reply with NO_PII if there is no personal data, [else|otherwise] with CONTAINS_PII.",
     "Label each [text|message] [with|as] CONTAINS_PII or NO_PII."],
    ["You are a checker of personal data. Reply CONTAINS_PII if the text has personal data, else NO_PII.",
     "Read the message and answer with CONTAINS_PII or NO_PII."])

WITH = Wordings(
    ["[Please call|Call|Phone] {person} [at|on] {phone}.", "My [phone|mobile] number is {phone}.",
     "[You can reach|Reach|Contact] {first} [at|on] {email}.", "[Write|Send a mail|Send the file] to {email}[ please|].",
     "{person}, born [on |]{date}, [asked for|wants] a [copy|refund].", "The [address|home] of {person} is {street}, {city}.",
     "[I live|She lives|He lives] at {street}[, {city}|].", "{person} [paid|pays] with card {card}.",
     "The card [number|] is {card}, [name|holder] {person}.", "Her [social security|insurance|tax] number is {ssn}.",
     "[Passport|ID card] {passport} belongs to {person}.", "{person} has the [passport|ID] number {passport}.",
     "Name: {person}\nPhone: {phone}", "Name: {person}\nEmail: {email}", "Customer {person}, {street}, {city}, {phone}.",
     "Hi, this is {first}, my [email|mail] is {email}.", "Date of birth: {date}, patient {person}.",
     "Patient {person} was seen on {day}; [call|phone] {phone}.", "[Wire|Send] the money to {iban}, account of {person}.",
     "The [salary|pay] of {person} goes to account {iban}.", "Contact: {person} <{email}>",
     "[Please ship|Ship|Send] the parcel to {person}, {street}.", "The applicant {person} [gave|left] the number {phone}.",
     "The [phone|mobile] of {first} is {phone}.", "{person} [has|uses] the mail {email}.", "{first} [paid|bought it] with the card {card}.",
     "[Her|His|My] address is {street}[, {city}|].", "Patient {person}\nBorn: {date}", "The account of {person} is {iban}.",
     "[Her|His|My] tax number is {ssn}.", "[My|Her] passport is {passport}.",
     "My SSN is {ssn}[ and I was born on {date}|]."],
    ["You can call {first} on the number {phone}.", "The mail of {person} is {email}.",
     "{person} lives at {street}, {city}.", "Patient: {person}\nDate of birth: {date}",
     "I paid with my card {card}.", "Her passport number is {passport}.",
     "The tax number of {person} is {ssn}.", "Please send the refund to {person}, account {iban}."])
WITHOUT = Wordings(
    ["[Order|Parcel] {code} [was shipped|left|arrived] on {date}.", "The {product} costs {money} [euros|dollars].",
     "{company} [opened|closed] [an office|a store] in {city}.", "The [meeting|review] is on {day} at {clock}.",
     "[Invoice|Bill] {code} over {money} [euros|dollars] is [open|paid|due].", "Sales [rose|fell] by {n} percent in {city}.",
     "The {team} team [needs|ordered] {n} new laptops.", "[Version|Release] {n}.{k} [fixes|has] {k} bugs.",
     "Room {n} is [free|booked] on {day}.", "Please [restart|update] the server [before|after] {clock}.",
     "The [warehouse|store] in {city} has {n} [boxes|parcels] left.", "{company} [makes|sells] the {product}.",
     "Ticket {code}: the {product} does not [start|work].", "The price of the {product} [rose|fell] to {money}.",
     "Our [office|store] opens at {clock} on {day}.", "The train to {city} [leaves|arrives] at {clock}.",
     "The contract with {company} ends on {date}.", "[Please order|Order] {n} [pieces|boxes] of the {product}.",
     "Item: {product}\nQuantity: {n}", "Total: {money}\nOrder: {code}", "The weather in {city} [is|was] {n} degrees.",
     "The {team} [report|plan] [is due|will come] on {date}.", "Error {n} in line {k} of the [log|file].",
     "The [new|old] [policy|plan] [starts|ends] on {date}.", "The serial number of the {product} is {code}.",
     "The [report|policy] of {company} has {n} pages.", "The {team} team [meets|has a call] on {date}[ at {clock}|].",
     "{company} [bought|returned] {n} pieces of the {product}.", "[Order|Invoice|Ticket] {code} [was|is] closed on {date}.",
     "The {product} is [made|built] by {company}[ in {city}|].", "Store: {city}\nOpen: {clock}", "Invoice: {code}\nDue: {date}",
     "The [store|office] of {company} is [open|closed] on {date}.", "We [have|had] {n} errors on {day} at {clock}."],
    ["The order {code} arrived at {clock}.", "The {product} is sold by {company} for {money} dollars.",
     "The {team} team has a meeting on {date}.", "Invoice: {code}\nTotal: {money}",
     "The store in {city} is closed on {day}.", "{company} ordered {n} boxes of the {product}.",
     "The server had error {n} at {clock}.", "The contract {code} ends on {date}."])
EXTRA = ["Thank you.", "Please answer soon.", "Best regards.", "This is urgent.", "See the file for more.",
         "Thanks in advance.", "We will check this.", "More details will follow."]


def fields(m):
    person = m.person()
    d = m.digits
    return dict(
        person=person, first=person.split()[0], phone=m.phone(), email=m.email(person), street=m.street(), city=m.city(),
        date=m.date(), card=m.choice([f"{d(4)} {d(4)} {d(4)} {d(4)}", f"{d(4)}-{d(4)}-{d(4)}-{d(4)}", d(16)]),
        ssn=m.choice([f"{d(3)}-{d(2)}-{d(4)}", f"{d(3)} {d(2)} {d(4)}"]), passport=f"{m.letters(m.number(1, 2))}{d(7)}",
        iban=f"{m.letters(2)}{d(2)} {d(4)} {d(4)} {d(4)}", day=m.choice(DAYS), code=m.code(["INV", "ORD", "TK", "PO"]),
        product=m.product(), money=m.money(), company=m.company(), clock=m.clock(), n=m.number(2, 99), k=m.number(2, 20),
        team=m.choice(DEPARTMENTS))


def pii(m):
    has = m.chance(0.5)
    parts = [m.say(WITHOUT, **fields(m)) for _ in range(m.choice([0, 1, 1, 2]))]
    if has:
        parts.append(m.say(WITH, **fields(m)))
    elif not parts or m.chance(0.3):
        parts.append(m.say(WITHOUT, **fields(m)))
    if m.chance(0.3):
        parts.append(m.choice(EXTRA))
    m.rng.shuffle(parts)
    return {"task": "pii", "messages": [
        {"role": "system", "content": m.say(SYSTEM)}, {"role": "user", "content": " ".join(parts)},
        {"role": "assistant", "content": "CONTAINS_PII" if has else "NO_PII"}]}
