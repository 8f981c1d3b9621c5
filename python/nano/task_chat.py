"""Small talk, simple facts, arithmetic, and the copy and look-up drills that teach a young model to copy."""

from words import DAYS, MONTHS, Wordings

NAME = "DBRX nano"

# (questions, answers): every answer of a line is right for every question of it
SMALL_TALK = [
    (Wordings(["[Hello|Hi|Hey|Good morning|Good evening|Good day][!|.|]", "[Hello|Hi] there[!|]", "[Hello|Hi], [nice to meet you|good to see you][!|.]"], ["Hey there!", "Hello, good day!"]),
     ["Hello! How can I help you?"]),
    (Wordings(["Who are you?", "What are you?", "What is your name?", "[Tell me|Say] who you are.", "[Hello|Hi], who are you?", "Are you a [robot|person|computer]?", "What [model|program] are you?", "Introduce yourself.", "What should I call you?"], ["Please tell me who you are.", "Hi, what is your name?"]),
     [f"I am {NAME}, a small assistant made to show DBRX at work."]),
    (Wordings(["What can you do?", "How can you help me?", "What are you [good|useful] for?", "What can I ask you?", "Help", "Help me.", "What [tasks|things] can you do?", "[Tell me|Show me] what you can do."], ["Please tell me what you can do.", "What can you help me with?"]),
     ["I can answer questions about a text, extract JSON, write simple SQL and Python, spot personal data and do small sums."]),
    (Wordings(["How are you?", "How are you [today|doing]?", "How is it going?", "Are you well?", "[Hi|Hello], how are you?"], ["Hello, how are you today?"]),
     ["I am fine, thank you. How can I help you?"]),
    (Wordings(["Thanks[!|.|]", "Thank you[!|.|]", "Thank you [very much|so much|for your help].", "Thanks a lot[!|.]", "[Great|Good|Perfect], [thanks|thank you]."], ["Thanks for your help!"]),
     ["You are welcome!"]),
    (Wordings(["Bye[!|.|]", "Goodbye[!|.|]", "See you [later|soon|tomorrow].", "Good night[!|.]", "I have to go[ now|]."], ["Goodbye, see you soon."]),
     ["Goodbye! Have a nice day."]),
    (Wordings(["Who made you?", "Who [built|trained|created] you?", "Where do you come from?", "How were you [made|built|trained]?"], ["Who has built you?"]),
     ["I was trained from scratch on generated text, as a small model with the DBRX architecture."]),
    (Wordings(["How [big|large] are you?", "How many experts do you have?", "What is your [size|architecture]?", "How do you work?"], ["How many experts are in you?"]),
     ["I am a mixture of 16 experts, and each token uses 4 of them."]),
    (Wordings(["What is [DBRX|a mixture of experts]?", "Tell me about [DBRX|mixture of experts models].", "Explain [DBRX|mixture of experts]."], ["Please explain DBRX."]),
     ["DBRX is a mixture of experts model: a router picks 4 of 16 experts for every token."]),
    (Wordings(["What is the weather [today|like|tomorrow]?", "What time is it[ now|]?", "What day is [it|today]?", "What is in the news[ today|]?", "Who won the game?", "What is the date[ today|]?"], ["What is the time now?", "What is the weather now?"]),
     ["I do not know. I have no access to live data."]),
    (Wordings(["What is the meaning of life?", "Write [me |]a [poem|novel|story|song].", "Who [will win the election|wrote this book|is the president]?", "Tell me [about history|a story|the future].", "How do I [fix my car|cook rice|fly a plane]?", "What should I [eat|buy|wear]?"], ["Write me a long poem.", "How do I fix a plane?"]),
     ["I am a small model and I do not know that."]),
    (Wordings(["Tell me a joke.", "[Do you know|Say] a joke?", "Make me laugh.", "Say something funny."], ["Please tell me a joke."]),
     ["Why did the expert sit idle? The router did not pick it."]),
    (Wordings(["Yes.", "Ok.", "Okay.", "Sure.", "Good.", "Great!", "Fine."], ["Perfect."]), ["Good. What would you like to do next?"]),
    (Wordings(["You are [great|good|smart|nice|funny].", "Well done[!|.]", "I like you.", "Good [job|work|answer]."], ["You are very good."]), ["Thank you, that is kind."]),
    (Wordings(["That is wrong.", "You are wrong.", "This is [wrong|false].", "No, that is [wrong|false]."], ["No, you are wrong."]), ["I am sorry. I am a small model and make mistakes."]),
]
CAPITALS = dict(France="Paris", England="London", Germany="Berlin", Spain="Madrid", Italy="Rome", Austria="Vienna", Norway="Oslo",
                Portugal="Lisbon", Ireland="Dublin", Greece="Athens", Poland="Warsaw", Japan="Tokyo", Egypt="Cairo", Peru="Lima",
                Finland="Helsinki", Sweden="Stockholm", Denmark="Copenhagen", Hungary="Budapest", Russia="Moscow", China="Beijing",
                Canada="Ottawa", Cuba="Havana", Kenya="Nairobi", Turkey="Ankara", Belgium="Brussels", Latvia="Riga")
OPPOSITES = dict(hot="cold", big="small", fast="slow", high="low", old="young", good="bad", light="heavy", open="closed", full="empty",
                 early="late", rich="poor", long="short", strong="weak", wet="dry", happy="sad", hard="soft", left="right", day="night",
                 up="down", black="white", first="last", yes="no", clean="dirty", loud="quiet", thick="thin")
SOUNDS = dict(dog="bark", cat="meow", cow="moo", sheep="baa", duck="quack", lion="roar", bee="buzz", snake="hiss", frog="croak")
FACTS = [
    ("How many days are in a week?", "7"), ("How many months are in a year?", "12"), ("How many hours are in a day?", "24"),
    ("How many minutes are in an hour?", "60"), ("How many seconds are in a minute?", "60"), ("How many legs does a spider have?", "8"),
    ("How many legs does a dog have?", "4"), ("What colour is the sky?", "Blue."), ("What colour is grass?", "Green."),
    ("What colour is snow?", "White."), ("What colour is blood?", "Red."), ("What is frozen water?", "Ice."),
    ("What do bees make?", "Honey."), ("What do cows give?", "Milk."), ("Which planet do we live on?", "Earth."),
    ("What is the largest planet?", "Jupiter."), ("Which star is near us?", "The Sun."), ("What is the largest ocean?", "The Pacific."),
    ("What is H2O?", "Water."), ("Which language is DBRX written in?", "Python."), ("How many continents are there?", "7"),
]
POLITE = Wordings(["{q}", "{q}", "Please tell me: {q}", "A question: {q}", "Can you tell me: {q}", "Quick question. {q}"],
                  ["Tell me, please: {q}", "I have a question. {q}"])


def one_fact(m):
    """A question and its answer from common knowledge."""
    kind = m.number(0, 5)
    if kind == 0:
        country = m.choice(sorted(CAPITALS))
        return m.choice(["What is the capital of {c}?", "Which city is the capital of {c}?", "Name the capital of {c}."]).replace("{c}", country), f"{CAPITALS[country]}."
    if kind == 1:
        word = m.choice(sorted(OPPOSITES))
        other = OPPOSITES[word]
        if m.chance(0.5):
            word, other = other, word
        return m.choice(["What is the opposite of {w}?", "Give the opposite of {w}.", "Name the opposite of {w}."]).replace("{w}", word), f"{other.capitalize()}."
    if kind == 2:
        names = m.choice([DAYS, MONTHS])
        i = m.number(0, len(names) - 1)
        if m.chance(0.5):
            return f"Which {'day' if names is DAYS else 'month'} comes after {names[i]}?", f"{names[(i + 1) % len(names)]}."
        return f"Which {'day' if names is DAYS else 'month'} comes before {names[i]}?", f"{names[i - 1]}."
    if kind == 3:
        animal = m.choice(sorted(SOUNDS))
        return f"What sound does a {animal} make?", f"{SOUNDS[animal].capitalize()}."
    return m.choice(FACTS)


def small_talk_turn(m):
    questions, answers = m.choice(SMALL_TALK)
    return m.say(questions), m.choice(answers)


def remember(m):
    """The user says something about themselves and asks for it later."""
    name, kind = m.first(), m.number(0, 2)
    if kind == 0:
        return [(m.choice(["My name is {n}.", "I am {n}.", "Hello, my name is {n}.", "Call me {n}.", "Hi, I am {n}."]).replace("{n}", name), f"Nice to meet you, {name}!"),
                (m.choice(["What is my name?", "Who am I?", "Do you know my name?", "How am I called?"]), f"Your name is {name}.")]
    if kind == 1:
        city = m.city()
        return [(m.choice(["I live in {c}.", "I am from {c}.", "My home is in {c}."]).replace("{c}", city), f"{city} sounds like a nice place."),
                (m.choice(["Where do I live?", "Where am I from?", "Where is my home?"]), f"You live in {city}.")]
    thing = m.product()
    return [(m.choice(["I bought a {t}.", "I have a new {t}.", "I want a {t}."]).replace("{t}", thing), f"A {thing} sounds good."),
            (m.choice(["What did I buy?", "What did I say?", "What was it?"]), f"A {thing}.")]


def chat(m):
    """One to four turns; a thing to remember is asked for at the end."""
    turns = []
    kind = m.number(0, 3)
    if kind == 0:
        first, last = remember(m)
        turns = [first] + [one_fact(m) if m.chance(0.5) else small_talk_turn(m) for _ in range(m.number(0, 1))] + [last]
    else:
        for _ in range(m.number(1, 3)):
            if m.chance(0.5):
                turns.append(small_talk_turn(m))
            else:
                q, a = one_fact(m)
                turns.append((m.say(POLITE, q=q), a))
    messages = []
    for q, a in turns:
        messages += [{"role": "user", "content": q}, {"role": "assistant", "content": a}]
    return {"task": "chat", "messages": messages}


SUM = Wordings(["What is {x}?", "{x}", "{x} =", "Compute {x}.", "How much is {x}?", "Calculate {x}", "Tell me {x}."],
               ["Please calculate {x}.", "Please tell me {x}."])
WORDS = {"+": ["+", "+", "plus"], "-": ["-", "-", "minus"], "*": ["*", "*", "times"]}


def one_sum(m):
    op = m.choice("++--*")
    if op == "*":
        a, b = m.number(0, 12), m.number(0, 12)
        result = a * b
    else:
        top = m.choice([9, 20, 99])
        a, b = m.number(0, top), m.number(0, top)
        if op == "-" and a < b:
            a, b = b, a
        result = a + b if op == "+" else a - b
    return a, op, b, result


def is_held_out_sum(a, op, b):
    return (a * 7 + b * 13 + ord(op)) % 10 == 0


def arithmetic(m):
    messages = []
    while len(messages) < (2 if m.split == "held" else 24):
        a, op, b, result = one_sum(m)
        if is_held_out_sum(a, op, b) != (m.split == "held"):
            continue
        messages += [{"role": "user", "content": m.say(SUM, x=f"{a} {m.choice(WORDS[op])} {b}")},
                     {"role": "assistant", "content": str(result)}]
    return {"task": "arithmetic", "messages": messages}


REPEAT = Wordings(["Repeat: {t}", "Say {t}", "Copy this: {t}", "Write this again: {t}", "Repeat after me: {t}"], ["Please repeat this: {t}"])


def any_value(m):
    return m.choice([m.name_word, m.person, m.city, m.company, m.product, m.word, lambda: m.code(["INV", "A"]), m.phone, m.money,
                     m.email, m.street, m.date])()


def copy(m):
    """Repeats the text: the plainest drill for copying invented words."""
    text = m.choice([" ", ", ", "\n"]).join(any_value(m) for _ in range(m.number(1, 7)))
    return {"task": "copy", "messages": [{"role": "user", "content": m.say(REPEAT, t=text)}, {"role": "assistant", "content": text}]}


def lookup(m):
    """Key and value lines and several questions by key: the plainest drill for finding a fact."""
    pairs = {}
    for _ in range(m.number(2, 8)):
        pairs[m.choice([m.name_word, m.person, m.company, m.product])()] = any_value(m)
    mark = m.choice([": ", " = ", " - ", " is "])
    lines = m.choice(["\n", ", ", "; "]).join(f"{k}{mark}{v}" for k, v in pairs.items())
    keys = m.rng.sample(sorted(pairs), min(len(pairs), m.number(1, 6)))
    messages = []
    for i, key in enumerate(keys):
        ask = m.choice(["{k}?", "What is {k}?", "{k}"]).replace("{k}", key)
        messages += [{"role": "user", "content": f"{lines}\n\n{ask}" if i == 0 else ask},
                     {"role": "assistant", "content": pairs[key]}]
    return {"task": "lookup", "messages": messages}
