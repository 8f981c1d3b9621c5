"""Question answering over one passage and over ten: the answer is a value that the text states."""

import re

from words import COLOURS, DAYS, DEPARTMENTS, JOBS, Wordings

# relation: subject kind, value maker, statements, questions
RELATIONS = {
    "seat": ("company", lambda m: m.city(), Wordings(
        ["{s} sits in {v}.", "The [office|main office] of {s} is in {v}.", "{s} works out of {v}.",
         "{s} [is based in|has its office in|has its main office in] {v}.", "{s} is a [firm|company] from {v}.",
         "The [head office|main office|seat] of {s} is in {v}.", "The [firm|company] {s} works from {v}.",
         "You will find {s} in {v}.", "{v} is the [home|seat] of {s}.", "In {v}, {s} has its [head office|seat]."],
        ["{s} has its seat in {v}.", "The company {s} is based in {v}.", "The home of {s} is {v}."]),
        Wordings(["What city is {s} in?", "Where is the [company|firm] {s}?", "Where does {s} have its office?",
                  "Where is {s} based?", "In which [city|town] is {s}?", "What is the seat of {s}?",
                  "Where is the [head|main] office of {s}?", "Where can I find {s}?"],
                 ["In which city is {s} based?", "Where is the office of {s}?"])),
    "founded": ("company", lambda m: str(m.number(1870, 2023)), Wordings(
        ["{s} dates from {v}.", "The founding year of {s} is {v}.", "The [company|firm] {s} started in {v}.",
         "{s} was [founded|started|set up] in {v}.", "{s} opened [its doors|for business] in {v}.",
         "In {v}, {s} was [founded|started].", "The [firm|company] {s} [has existed|has worked] since {v}.",
         "The year {v} saw the start of {s}."],
        ["The company {s} was founded in {v}.", "In {v}, {s} opened its doors."]),
        Wordings(["What is the founding year of {s}?", "In what year did {s} [open|start]?", "When did {s} open its doors?",
                  "When was {s} [founded|started|set up]?", "In which year was {s} [founded|started]?",
                  "What year did {s} [open|start]?", "Since when does {s} exist?"],
                 ["In what year was {s} set up?", "When did {s} start?"])),
    "boss": ("company", lambda m: m.person(), Wordings(
        ["{s} has {v} as its [director|head].", "The [company|firm] {s} is led by {v}.", "The person who runs {s} is {v}.",
         "{v} [leads|runs|heads] {s}.", "{s} is [led|run|headed] by {v}.",
         "The [director|head|boss] of {s} is {v}.", "{v} is the [director|head|boss] of {s}.",
         "At {s}, {v} is in charge."],
        ["The company {s} is run by {v}.", "At {s}, the director is {v}."]),
        Wordings(["By whom is {s} [led|headed]?", "Who is the [boss|director] at {s}?", "Which person runs {s}?",
                  "Who [leads|runs|heads] {s}?", "Who is the [director|head|boss] of {s}?",
                  "Who is in charge [of|at] {s}?", "What is the name of the [director|head] of {s}?"],
                 ["By whom is {s} run?", "Who is the head at {s}?"])),
    "staff": ("company", lambda m: str(m.number(4, 9800)), Wordings(
        ["{s} is a [firm|company] of {v} people.", "The [company|firm] {s} has {v} [workers|employees].", "{s} pays {v} workers.",
         "{s} has {v} [workers|employees|people].", "{v} people work [at|for] {s}.",
         "{s} employs {v} [people|workers].", "The staff of {s} counts {v} [people|workers].",
         "There are {v} [workers|employees] at {s}."],
        ["At {s} there are {v} people.", "The company {s} employs {v} workers."]),
        Wordings(["How many [people|employees] are there at {s}?", "What is the number of [workers|people] at {s}?", "How many people does the firm {s} have?",
                  "How many [people|workers|employees] [work at|work for] {s}?", "How [large|big] is the staff of {s}?",
                  "How many [people|workers|employees] does {s} [have|employ]?"],
                 ["How many workers are there at {s}?", "How many people does the company {s} employ?"])),
    "price": ("product", lambda m: f"{m.number(2, 999)} {m.choice(['euros', 'dollars', 'pounds'])}", Wordings(
        ["The {s} has a price of {v}.", "At {v}, the {s} is cheap.", "They sell the {s} for {v}.",
         "The {s} costs {v}.", "The price of the {s} is {v}.", "You pay {v} for the {s}.",
         "For {v} you [get|can buy] the {s}.", "The {s} [sells|is sold] for {v}.", "A {s} is {v}."],
        ["The {s} is sold at a price of {v}.", "You can buy the {s} for {v}."]),
        Wordings(["At what price do they sell the {s}?", "How much do you pay for the {s}?", "What is the {s} sold for?",
                  "[How much|What] does the {s} cost?", "What is the price of the {s}?", "How much is the {s}?",
                  "What do I pay for the {s}?"],
                 ["At what price is the {s} sold?", "How much do I pay for the {s}?"])),
    "colour": ("product", lambda m: m.choice(COLOURS), Wordings(
        ["You can get the {s} in {v}.", "The {s} is painted {v}.", "The {s} is of {v} colour.",
         "The {s} is {v}.", "The {s} comes in {v}.", "The colour of the {s} is {v}.",
         "They [make|paint] the {s} in {v}.", "The {s} has a {v} [case|finish]."],
        ["The {s} has the colour {v}.", "They sell the {s} in {v}."]),
        Wordings(["In which colour is the {s}?", "What colour has the {s}?", "In what colour do they make the {s}?",
                  "What colour is the {s}?", "Which colour does the {s} [have|come in]?",
                  "What is the colour of the {s}?"],
                 ["In what colour does the {s} come?", "Which colour is the {s}?"])),
    "maker": ("product", lambda m: m.company(), Wordings(
        ["The company behind the {s} is {v}.", "{v} is the [firm|company] that builds the {s}.", "The {s} is a product of {v}.",
         "The {s} is [made|built] by {v}.", "{v} [makes|builds] the {s}.", "The maker of the {s} is {v}.",
         "The {s} comes from {v}.", "{v} is the maker of the {s}."],
        ["The company that makes the {s} is {v}.", "The {s} is a product built by {v}."]),
        Wordings(["By whom is the {s} built?", "What [company|firm] builds the {s}?", "What is the company behind the {s}?",
                  "Who [makes|builds] the {s}?", "Which [firm|company] [makes|builds] the {s}?",
                  "Who is the maker of the {s}?", "Where does the {s} come from?"],
                 ["By whom is the {s} made?", "What company is the maker of the {s}?"])),
    "weight": ("product", lambda m: f"{m.number(1, 300)} {m.choice(['kg', 'grams', 'pounds'])}", Wordings(
        ["One {s} weighs {v}.", "The {s} is {v} in weight.", "A {s} weighs [about |]{v}.",
         "The {s} weighs {v}.", "The weight of the {s} is {v}.", "With {v}, the {s} is [light|heavy].",
         "The {s} has a weight of {v}."],
        ["The {s} weighs about {v}.", "The weight of one {s} is {v}."]),
        Wordings(["What is the weight of one {s}?", "What weight has the {s}?", "How much weight does the {s} have?",
                  "How much does the {s} weigh?", "What is the weight of the {s}?", "How heavy is the {s}?"],
                 ["What does the {s} weigh?", "What weight does the {s} have?"])),
    "job": ("person", lambda m: m.choice(JOBS), Wordings(
        ["{s} has the job of a {v}.", "As a {v}, {s} works hard.", "For work, {s} is a {v}.",
         "{s} is a {v}.", "{s} works as a {v}.", "The job of {s} is {v}.", "{s} has been a {v} for years.",
         "{s} [found|has] work as a {v}."],
        ["{s} has a job as a {v}.", "For years {s} works as a {v}."]),
        Wordings(["Which job does {s} have?", "As what is {s} employed?", "What is {s} by work?",
                  "What is the job of {s}?", "What does {s} do for work?", "What does {s} work as?",
                  "What work does {s} do?"],
                 ["What job does {s} have?", "As what does {s} work?"])),
    "employer": ("person", lambda m: m.company(), Wordings(
        ["{s} is employed by {v}.", "{v} has {s} on its staff.", "{s} has found a job at {v}.",
         "{s} works [for|at] {v}.", "{v} employs {s}.", "{s} has a [job|post] at {v}.", "{s} [joined|went to] {v}.",
         "The employer of {s} is {v}."],
        ["{s} has joined {v}.", "At {v}, they employ {s}."]),
        Wordings(["At what company is {s} employed?", "By whom is {s} employed?", "At which firm does {s} have a job?",
                  "Where does {s} work?", "[For which|For what] [firm|company] does {s} work?",
                  "Who employs {s}?", "Who is the employer of {s}?", "Which company did {s} join?"],
                 ["At which company does {s} work?", "What is the employer of {s}?"])),
    "home": ("person", lambda m: m.city(), Wordings(
        ["The flat of {s} is in {v}.", "{s} is at home in {v}.", "{s} has gone to live in {v}.",
         "{s} lives in {v}.", "{s} has [a house|a flat|a home] in {v}.", "The home of {s} is in {v}.",
         "{s} moved to {v}.", "{v} is where {s} lives.", "In {v}, {s} has [a house|a flat]."],
        ["{s} has moved to {v}.", "The house of {s} is in {v}."]),
        Wordings(["In what city does {s} live?", "Which [city|town] is the home of {s}?", "Where is the flat of {s}?",
                  "Where does {s} live?", "In which [city|town] does {s} live?", "Where is the home of {s}?",
                  "Where did {s} move?"],
                 ["In what town is the home of {s}?", "Where is the house of {s}?"])),
    "department": ("person", lambda m: m.choice(DEPARTMENTS), Wordings(
        ["{s} is the boss of the {v} team.", "The head of the {v} team is {s}.", "{v} is the team of {s}.",
         "{s} [leads|runs|heads] the {v} team.", "The {v} team is [led|run] by {s}.",
         "{s} is [head of|in charge of] {v}.", "In the {v} team, {s} is the boss."],
        ["{s} is the head of the {v} team.", "The boss of the {v} team is {s}."]),
        Wordings(["Of what team is {s} the boss?", "Which team is the team of {s}?", "What team does {s} lead?",
                  "Which team does {s} [lead|run|head]?", "What team is [led|run] by {s}?",
                  "What is {s} in charge of?"],
                 ["Of which team is {s} the head?", "Which team is led by {s}?"])),
    "age": ("person", lambda m: str(m.number(18, 99)), Wordings(
        ["{s} has the age of {v}.", "Last year {s} turned {v}.", "At the moment, {s} is {v}.",
         "{s} is {v} years old.", "{s} is {v}.", "The age of {s} is {v}.", "{s} turned {v} [this year|last week].",
         "At {v}, {s} [still works|feels young]."],
        ["{s} has turned {v}.", "This year the age of {s} is {v}."]),
        Wordings(["How many years old is {s}?", "Which age does {s} have?", "What age did {s} turn?",
                  "How old is {s}?", "What is the age of {s}?", "What age is {s}?"],
                 ["How old did {s} turn?", "What age does {s} have?"])),
    "room": ("meeting", lambda m: f"room {m.number(1, 60)}", Wordings(
        ["The {s} is held in {v}.", "You will find the {s} in {v}.", "We come to {v} for the {s}.",
         "The {s} [is|takes place|will be] in {v}.", "The {s} was moved to {v}.", "Come to {v} for the {s}.",
         "We hold the {s} in {v}."],
        ["The {s} will be held in {v}.", "For the {s} we come to {v}."]),
        Wordings(["Where do we hold the {s}?", "Where will the {s} take place?", "In what room is the {s}?",
                  "Where is the {s}?", "In which room is the {s}?", "Where does the {s} take place?",
                  "Which room is the {s} in?"],
                 ["In which room do we hold the {s}?", "Where will the {s} be?"])),
    "day": ("meeting", lambda m: m.choice(DAYS), Wordings(
        ["The {s} is held on {v}.", "The day for the {s} is {v}.", "We come to the {s} on {v}.",
         "The {s} [is|takes place|will be] on {v}.", "The {s} was moved to {v}.", "On {v} we have the {s}.",
         "We hold the {s} on {v}.", "{v} is the day of the {s}."],
        ["The {s} will be held on {v}.", "The day of the {s} is {v}."]),
        Wordings(["What is the day for the {s}?", "On what day will the {s} be?", "When do we hold the {s}?",
                  "[When|On which day] is the {s}?", "What day is the {s}?", "On [which|what] day does the {s} take place?"],
                 ["On which day do we hold the {s}?", "What is the day of the {s}?"])),
    "status": ("order", lambda m: m.choice(["shipped", "delayed", "cancelled", "delivered", "lost", "ready",
                                            "paid", "returned"]), Wordings(
        ["By now {s} is {v}.", "For {s} the status is {v}.", "They list {s} as {v}.",
         "{s} is {v}.", "{s} was {v} [today|last week].", "The status of {s} is {v}.", "We see {s} as {v}.",
         "{s} has the status {v}."],
        ["Today {s} is {v}.", "The status we see for {s} is {v}."]),
        Wordings(["What is {s} now?", "In what status is {s}?", "What is the status for {s}?",
                  "What is the status of {s}?", "What happened to {s}?", "What status does {s} have?"],
                 ["Which status does {s} have?", "What is {s} today, by its status?"])),
}
KINDS = sorted({relation[0] for relation in RELATIONS.values()})

FILLERS = ["The weather was fine.", "The report has two parts.", "More news will follow.", "This list is short.",
           "Nothing else was said.", "The notes are from last week.", "All of this was checked twice.",
           "Please keep this in mind."]

ONE = Wordings(
    ["{p}\n\nQuestion: {q}", "Read the [text|passage] and answer the question.\n\n{p}\n\n{q}", "{p}\n\n{q}",
     "Passage: {p}\nQuestion: {q}", "Text: {p}\n\nQ: {q}", "{q}\n\n{p}", "Answer from the [text|passage].\n{p}\n\n{q}",
     "Here is a [text|passage]: {p} {q}", "Use the [text|passage] to answer.\n\n[Text|Passage]: {p}\n\n[Question: |]{q}",
     "Answer the question.\n\nQuestion: {q}\nText: {p}", "Read this: {p}\n\nNow answer: {q}",
     "Please read this [text|passage] and answer: {p}\n\nQuestion: {q}"],
    ["Read this passage: {p}\n\nQuestion: {q}", "Answer the question from the text.\n\nText: {p}\n\n{q}"])
TEN = Wordings(
    ["{p}\n\nQuestion: {q}", "Read the [texts|passages] and answer.\n\n{p}\n\n{q}", "Passages:\n{p}\n\n{q}",
     "Find the answer in [these|the] passages.\n{p}\n\nQuestion: {q}", "{p}\n\n{q}",
     "Here are [some|the] [texts|passages].\n\n{p}\n\n[Question: |]{q}", "Use these [texts|passages] to answer.\n{p}\n\n{q}"],
    ["Answer from these passages.\n\n{p}\n\nQuestion: {q}", "Here are ten passages.\n{p}\n\n{q}"])
NEXT = Wordings(["{q}", "And: {q}", "{q}", "Next question: {q}"], ["Question: {q}"])


def subject(m, kind):
    if kind == "meeting":
        return f"{m.name_word(1, 3)} {m.choice(['meeting', 'workshop', 'review', 'lunch', 'training', 'call'])}"
    if kind == "order":
        return f"{m.choice(['order', 'parcel', 'order'])} {m.code(['ORD', 'PO', 'SO'])}"
    return {"company": m.company, "person": m.person, "product": m.product}[kind]()


def fact(m, name, who):
    kind, value, statements, questions = RELATIONS[name]
    v = value(m)
    text = re.sub(r"\ba (?=[aeiou])", "an ", m.say(statements, s=who, v=v))
    return {"text": text[0].upper() + text[1:], "question": m.say(questions, s=who), "answer": v,
            "key": (name, who)}


def facts_about(m, n):
    """n facts over a few subjects, with the same relation said of several subjects to rule out guessing."""
    kinds = [m.choice(KINDS) for _ in range(m.number(1, 2))]
    subjects = [(k, subject(m, k)) for k in kinds for _ in range(max(1, round(n / len(kinds) / 1.6)))]
    found, seen, tries = [], set(), 0
    relations = {k: [r for r in RELATIONS if RELATIONS[r][0] == k] for k in KINDS}
    while len(found) < n:
        tries += 1
        if tries > 4 * n:
            kind = m.choice(KINDS)
            subjects.append((kind, subject(m, kind)))
        kind, who = m.choice(subjects)
        name = m.choice(relations[kind])
        # one day and one room for a meeting would both fit "moved to": the values differ in kind, so both are fine
        if (name, who) not in seen:
            seen.add((name, who))
            found.append(fact(m, name, who))
    return found


def conversation(m, task, layout, passage, facts, n_questions):
    asked = m.rng.sample(facts, min(n_questions, len(facts)))
    messages = [{"role": "user", "content": m.say(layout, p=passage, q=asked[0]["question"])},
                {"role": "assistant", "content": asked[0]["answer"]}]
    for f in asked[1:]:
        messages += [{"role": "user", "content": m.say(NEXT, q=f["question"])},
                     {"role": "assistant", "content": f["answer"]}]
    return {"task": task, "messages": messages}


def passage_qa(m):
    facts = facts_about(m, m.number(2, 6))
    sentences = [f["text"] for f in facts]
    if m.chance(0.3):
        sentences.insert(m.number(0, len(sentences)), m.choice(FILLERS))
    n_questions = 1 if m.split == "held" else m.number(1, 6)
    return conversation(m, "passage_qa", ONE, " ".join(sentences), facts, n_questions)


def ten_passage_qa(m):
    passages, everything = [], []
    for i in range(10):
        facts = facts_about(m, m.number(1, 2))
        everything += facts
        passages.append(f"[{i + 1}] " + " ".join(f["text"] for f in facts))
    n_questions = 1 if m.split == "held" else m.number(4, 8)
    return conversation(m, "ten_passage_qa", TEN, "\n".join(passages), everything, n_questions)
