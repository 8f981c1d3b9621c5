"""Text to SQL over a small schema that stands in the prompt."""

from words import Wordings

TABLES = {
    "customers": ["name", "city", "country", "age", "balance"], "orders": ["customer", "product", "city", "total", "quantity"],
    "products": ["name", "brand", "colour", "price", "stock", "weight"], "employees": ["name", "team", "city", "salary", "age"],
    "invoices": ["vendor", "status", "amount", "currency"], "tickets": ["customer", "status", "priority", "hours"],
    "hotels": ["name", "city", "rooms", "stars"], "books": ["title", "author", "year", "pages", "price"],
    "cars": ["brand", "model", "colour", "year", "price"], "students": ["name", "school", "grade", "age"],
    "flights": ["airline", "city", "seats", "price"], "shops": ["name", "city", "sales", "staff"],
}
NUMBERS = {"age", "balance", "total", "quantity", "price", "stock", "weight", "salary", "amount", "hours", "rooms", "stars",
           "year", "pages", "grade", "seats", "sales", "staff"}

# operation -> (question wordings, query); c, d text or number columns, n number columns
OPERATIONS = {
    "columns": (Wordings(["[Show|Get] me {a} for each of the {t}.", "Which {a} do the {t} have?",
                     "[Show|List|Give me] the {a} of all {t}.", "What is the {a} of each [row in |of the |]{t}?",
                          "[Show|List] {a} for all {t}."], ["Give me the {a} for all {t}."]), "SELECT {a} FROM {t};"),
    "two": (Wordings(["What are the {a} and {b} of all {t}?", "[Show|Get] me {a} and {b} of the {t}.",
                     "[Show|List|Give me] the {a} and {b} of all {t}.", "[Show|List] {a} and {b} for all {t}."],
                     ["Give me the {a} and {b} for all {t}."]), "SELECT {a}, {b} FROM {t};"),
    "equal": (Wordings(["List the {a} for {t} whose {c} is {v}.", "Give me {a} of the {t} where {c} is {v}.",
                     "[Show|List|Give me] the {a} of {t} [with|where] {c} {v}.", "Which {t} have {c} {v}? [Show|List] the {a}.",
                        "[Show|List] the {a} of all {t} where the {c} is {v}.", "What is the {a} of {t} with {c} {v}?"],
                       ["Give me the {a} of all {t} with {c} {v}.", "List the {a} where the {c} is {v} in {t}."]),
              "SELECT {a} FROM {t} WHERE {c} = '{v}';"),
    "above": (Wordings(["[Show|List] the {a} of all {t} where [the |]{n} is [over|above|more than] {k}.", "Give me {a} for {t} with {n} greater than {k}.",
                     "[Show|List|Give me] the {a} of {t} with {n} [over|above|greater than|more than] {k}.",
                        "Which {t} have {n} [over|above|greater than|more than] {k}? [Show|List] the {a}."],
                       ["Give me the {a} of all {t} where the {n} is greater than {k}."]),
              "SELECT {a} FROM {t} WHERE {n} > {k};"),
    "below": (Wordings(["[Show|List] the {a} of all {t} where [the |]{n} is [under|below|smaller than] {k}.", "Give me {a} for {t} with {n} less than {k}.",
                     "[Show|List|Give me] the {a} of {t} with {n} [under|below|less than] {k}.",
                        "Which {t} have {n} [under|below|less than] {k}? [Show|List] the {a}."],
                       ["Give me the {a} of all {t} where the {n} is less than {k}."]),
              "SELECT {a} FROM {t} WHERE {n} < {k};"),
    "count": (Wordings(["How many {t} are in the table?", "Give me the number of [all |]{t}.", "How many {t} do you have?", "How many {t} exist?",
                     "How many {t} are there?", "Count [the|all] {t}.", "What is the number of {t}?"],
                       ["How many {t} do we have?"]), "SELECT COUNT(*) FROM {t};"),
    "count_equal": (Wordings(["Give me the number of {t} where {c} is {v}.", "For {c} {v}, how many {t} are there?",
                     "How many {t} have {c} {v}?", "Count the {t} [with|where] {c} {v}.",
                              "How many {t} are there with {c} {v}?"], ["What is the number of {t} with {c} {v}?"]),
                    "SELECT COUNT(*) FROM {t} WHERE {c} = '{v}';"),
    "count_above": (Wordings(["How many {t} are there with {n} [over|more than] {k}?", "Give me the number of {t} with {n} above {k}.",
                     "How many {t} have {n} [over|above|greater than|more than] {k}?",
                              "Count the {t} with {n} [over|above|greater than] {k}."],
                             ["How many {t} are there with {n} above {k}?"]), "SELECT COUNT(*) FROM {t} WHERE {n} > {k};"),
    "avg": (Wordings(["Give me the average of {n} for [the|all] {t}.", "What is the mean {n} of all {t}?",
                     "What is the average {n} of [the|all] {t}?", "[Show|Give me] the average {n} of {t}.",
                      "Average {n} of all {t}?"], ["Give me the average {n} of all {t}."]), "SELECT AVG({n}) FROM {t};"),
    "sum": (Wordings(["Give me the total of the {n} for all {t}.", "What is the sum of the {n} of [the|all] {t}?",
                     "What is the [total|sum of] {n} of [the|all] {t}?", "[Show|Give me] the sum of {n} of {t}.",
                      "Add up the {n} of all {t}."], ["Give me the sum of the {n} of all {t}."]), "SELECT SUM({n}) FROM {t};"),
    "max": (Wordings(["What is the [highest|largest|maximum] {n} in {t}?", "Give me the [highest|largest] {n} of all {t}.",
                     "What is the [highest|largest|maximum] {n} of [the|all] {t}?", "[Show|Give me] the [highest|largest|maximum] {n} of {t}."],
                     ["Give me the maximum {n} of all {t}."]), "SELECT MAX({n}) FROM {t};"),
    "min": (Wordings(["What is the [lowest|smallest|minimum] {n} in {t}?", "Give me the [lowest|smallest] {n} of all {t}.",
                     "What is the [lowest|smallest|minimum] {n} of [the|all] {t}?", "[Show|Give me] the [lowest|smallest|minimum] {n} of {t}."],
                     ["Give me the minimum {n} of all {t}."]), "SELECT MIN({n}) FROM {t};"),
    "avg_equal": (Wordings(["For {t} with {c} {v}, what is the average {n}?", "Give me the average {n} of {t} where {c} is {v}.",
                     "What is the average {n} of {t} with {c} {v}?", "[Show|Give me] the average {n} of {t} where the {c} is {v}."],
                           ["Give me the average {n} of all {t} with {c} {v}."]),
                  "SELECT AVG({n}) FROM {t} WHERE {c} = '{v}';"),
    "top": (Wordings(["Give me the {a} of the {i} {t} with the highest {n}.", "Show the top {i} {t} by {n}, only the {a}.",
                     "[Show|List] the {a} of the {i} {t} with the [highest|largest] {n}.", "Which {i} {t} have the [highest|largest] {n}? [Show|List] the {a}."],
                     ["Give me the {a} of the {i} {t} with the largest {n}."]), "SELECT {a} FROM {t} ORDER BY {n} DESC LIMIT {i};"),
    "bottom": (Wordings(["Give me the {a} of the {i} {t} with the lowest {n}.", "Show the last {i} {t} by {n}, only the {a}.",
                     "[Show|List] the {a} of the {i} {t} with the [lowest|smallest] {n}.", "Which {i} {t} have the [lowest|smallest] {n}? [Show|List] the {a}."],
                        ["Give me the {a} of the {i} {t} with the smallest {n}."]), "SELECT {a} FROM {t} ORDER BY {n} LIMIT {i};"),
    "group": (Wordings(["Give me the number of {t} [per|for each] {c}.", "For each {c}, how many {t} are there?",
                     "How many {t} are there [per|for each|by] {c}?", "Count the {t} [per|for each|by] {c}."],
                       ["What is the number of {t} for each {c}?"]), "SELECT {c}, COUNT(*) FROM {t} GROUP BY {c};"),
    "group_avg": (Wordings(["For each {c}, what is the average {n} of {t}?", "Give me the average {n} of all {t} per {c}.",
                     "What is the average {n} of {t} [per|for each|by] {c}?", "[Show|Give me] the average {n} [per|for each|by] {c} of {t}."],
                           ["Give me the average {n} of {t} for each {c}."]), "SELECT {c}, AVG({n}) FROM {t} GROUP BY {c};"),
    "distinct": (Wordings(["Give me the different {c} of the {t}.", "What different {c} are in {t}?",
                     "[Show|List] the different {c} of {t}.", "Which different {c} do the {t} have?", "[Show|List] each {c} of {t} once."],
                          ["Give me the different {c} of all {t}."]), "SELECT DISTINCT {c} FROM {t};"),
    "sorted": (Wordings(["Give me the {a} of the {t} sorted by {n}.", "What is the {a} of all {t}, ordered by {n}?",
                     "[Show|List] the {a} of all {t} [sorted|ordered] by {n}.", "[Sort|Order] the {t} by {n} and [show|list] the {a}."],
                        ["Give me the {a} of all {t} ordered by {n}."]), "SELECT {a} FROM {t} ORDER BY {n};"),
}
LAYOUT = Wordings(
    ["{schema}\n\n{q}", "Schema:\n{schema}\n\nQuestion: {q}", "Write [a SQL query|SQL].\n{schema}\n\n{q}", "{schema}\n\nWrite SQL: {q}",
     "Given [these tables|this schema]:\n{schema}\n{q}", "{schema}\nQuestion: {q}\nSQL:", "Here is a schema.\n{schema}\n\n{q} [Write|Answer in] SQL.",
     "Write SQL for this question: {q}\n\n{schema}", "{schema}\n\nGive me a SQL query. {q}"],
    ["Write a SQL query for this schema.\n{schema}\n\nQuestion: {q}", "Schema:\n{schema}\n\nWrite SQL: {q}"])


def table(m):
    """A name, its columns in order, and which of them are numbers."""
    if m.chance(0.4):
        name = m.choice(sorted(TABLES))
        columns = m.rng.sample(TABLES[name], m.number(3, len(TABLES[name])))
        return name, columns, {c for c in columns if c in NUMBERS}
    name = m.word(1, 2)
    columns = [m.word(1, 2) if m.chance(0.6) else m.choice(["name", "city", "price", "total", "year", "status"])
               for _ in range(m.number(2, 5))]
    columns = list(dict.fromkeys(columns))
    known_text = {"name", "city", "status"}
    return name, columns, {c for c in columns if c in NUMBERS or (c not in known_text and m.chance(0.5))}


def schema_text(m, tables, style):
    lines = []
    for name, columns, numbers in tables:
        if style == 0:
            typed = [f"{c} {'INT' if c in numbers else 'TEXT'}" for c in ["id"] + columns]
            lines.append(f"CREATE TABLE {name} (" + ", ".join(typed) + ");")
        elif style == 1:
            lines.append(f"Table {name}: " + ", ".join(["id"] + columns))
        else:
            lines.append(f"{name} (" + ", ".join(["id"] + columns) + ")")
    return "\n".join(lines)


def question(m, tables):
    while True:
        t, columns, numbers = m.choice(tables)
        text = [c for c in columns if c not in numbers]
        operation = m.choice(sorted(OPERATIONS))
        wordings, query = OPERATIONS[operation]
        if ("{n}" in query and not numbers) or ("{c}" in query and not text) or ("{b}" in query and len(columns) < 2):
            continue
        a, b = m.rng.sample(columns, 2) if len(columns) > 1 else (columns[0], None)
        c = m.choice(text) if text else None
        if a == c and "{a}" in query:
            continue
        v = m.choice([m.name_word, m.city, m.last])()
        f = dict(a=a, b=b, c=c, t=t, v=v, n=m.choice(sorted(numbers)) if numbers else None,
                 k=m.number(1, 30) * 10 if m.chance(0.5) else m.number(1, 2000), i=m.number(2, 20))
        return m.say(wordings, **f), query.format(**f)


def sql(m):
    tables, names = [], set()
    for _ in range(m.choice([1, 1, 2])):
        t = table(m)
        if t[0] not in names:
            names.add(t[0])
            tables.append(t)
    schema = schema_text(m, tables, m.number(0, 2))
    messages = []
    for turn in range(1 if m.split == "held" else m.number(1, 3)):
        q, query = question(m, tables)
        content = m.say(LAYOUT, schema=schema, q=q) if turn == 0 else q
        messages += [{"role": "user", "content": content}, {"role": "assistant", "content": query}]
    return {"task": "sql", "messages": messages}
