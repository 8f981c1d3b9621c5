"""Completion of small Python functions; a check runs the answer on a few arguments."""

from words import Wordings

# names, parameters, docstring wordings, body; the body names its parameters {a}, {b}
FUNCTIONS = [
    ("add plus add_numbers", 2, Wordings(["Return the sum of {a} and {b}.", "Add {a} and {b}.", "Return {a} plus {b}."], ["Return {a} and {b} added."]), "return {a} + {b}", [(2, 3), (7, 1)]),
    ("subtract minus difference", 2, Wordings(["Return {a} minus {b}.", "Subtract {b} from {a}.", "Return the difference of {a} and {b}."], ["Return the difference {a} minus {b}."]), "return {a} - {b}", [(9, 3), (1, 5)]),
    ("multiply times product", 2, Wordings(["Return the product of {a} and {b}.", "Multiply {a} by {b}.", "Return {a} times {b}."], ["Return the product {a} times {b}."]), "return {a} * {b}", [(2, 3), (7, 4)]),
    ("divide ratio quotient", 2, Wordings(["Return {a} divided by {b}.", "Divide {a} by {b}.", "Return the ratio of {a} to {b}."], ["Return the ratio {a} divided by {b}."]), "return {a} / {b}", [(8, 2), (9, 3)]),
    ("remainder modulo rest", 2, Wordings(["Return the remainder of {a} divided by {b}.", "Return {a} modulo {b}."], ["Return the remainder, {a} modulo {b}."]), "return {a} % {b}", [(9, 4), (8, 2)]),
    ("power raise_to to_the_power", 2, Wordings(["Return {a} to the power of {b}.", "Raise {a} to the power {b}."], ["Return {a} raised to the power of {b}."]), "return {a} ** {b}", [(2, 5), (3, 2)]),
    ("is_even even check_even", 1, Wordings(["Return True if {a} is even.", "Check if {a} is even.", "Tell whether {a} is an even number."], ["Check whether the number {a} is even."]), "return {a} % 2 == 0", [(4,), (7,)]),
    ("is_odd odd check_odd", 1, Wordings(["Return True if {a} is odd.", "Check if {a} is odd.", "Tell whether {a} is an odd number."], ["Check whether the number {a} is odd."]), "return {a} % 2 == 1", [(4,), (7,)]),
    ("square squared", 1, Wordings(["Return the square of {a}.", "Return {a} squared."], ["Return the number {a} squared."]), "return {a} * {a}", [(4,), (7,)]),
    ("double twice", 1, Wordings(["Return twice {a}.", "Double {a}.", "Return {a} times two."], ["Return the double of {a}."]), "return {a} * 2", [(4,), (7,)]),
    ("half halve", 1, Wordings(["Return half of {a}.", "Divide {a} by two."], ["Return the half of {a}."]), "return {a} / 2", [(4,), (7,)]),
    ("negate opposite", 1, Wordings(["Return the negative of {a}.", "Negate {a}.", "Change the sign of {a}."], ["Return {a} with the sign changed."]), "return -{a}", [(4,), (-7,)]),
    ("absolute distance_to_zero", 1, Wordings(["Return the absolute value of {a}.", "Return {a} without its sign."], ["Return the absolute value of the number {a}."]), "return abs({a})", [(4,), (-7,)]),
    ("largest max_of bigger", 2, Wordings(["Return the larger of {a} and {b}.", "Return the maximum of {a} and {b}."], ["Return the larger number, {a} or {b}."]), "return max({a}, {b})", [(4, 9), (5, 2)]),
    ("smallest min_of smaller", 2, Wordings(["Return the smaller of {a} and {b}.", "Return the minimum of {a} and {b}."], ["Return the smaller number, {a} or {b}."]), "return min({a}, {b})", [(4, 9), (5, 2)]),
    ("is_greater greater above", 2, Wordings(["Return True if {a} is greater than {b}.", "Check if {a} is more than {b}."], ["Check if {a} is greater than {b}."]), "return {a} > {b}", [(4, 9), (5, 2)]),
    ("is_less less below", 2, Wordings(["Return True if {a} is less than {b}.", "Check if {a} is below {b}."], ["Check if {a} is less than {b}."]), "return {a} < {b}", [(4, 9), (5, 2)]),
    ("is_equal equal same", 2, Wordings(["Return True if {a} equals {b}.", "Check if {a} and {b} are equal."], ["Return True if {a} and {b} are equal."]), "return {a} == {b}", [(4, 9), (5, 5)]),
    ("is_positive positive", 1, Wordings(["Return True if {a} is positive.", "Check if {a} is above zero."], ["Check if {a} is positive."]), "return {a} > 0", [(4,), (-7,)]),
    ("is_negative negative", 1, Wordings(["Return True if {a} is negative.", "Check if {a} is below zero."], ["Check if {a} is negative."]), "return {a} < 0", [(4,), (-7,)]),
    ("length count_items size", 1, Wordings(["Return the number of items in {a}.", "Return the length of {a}.", "Count the items of {a}."], ["Count the number of items in {a}."]), "return len({a})", [([1, 2, 3],), ([],)]),
    ("total sum_of add_all", 1, Wordings(["Return the sum of the list {a}.", "Add all numbers in {a}.", "Return the total of {a}."], ["Return the sum of all numbers in {a}."]), "return sum({a})", [([1, 2, 3],), ([5],)]),
    ("average mean", 1, Wordings(["Return the average of the list {a}.", "Return the mean of {a}."], ["Return the average of all numbers in {a}."]), "return sum({a}) / len({a})", [([1, 2, 3],), ([5],)]),
    ("first_item first head", 1, Wordings(["Return the first item of {a}.", "Get the first item in {a}."], ["Return the first item in the list {a}."]), "return {a}[0]", [([1, 2, 3],), ([5],)]),
    ("last_item last tail", 1, Wordings(["Return the last item of {a}.", "Get the last item in {a}."], ["Return the last item in the list {a}."]), "return {a}[-1]", [([1, 2, 3],), ([5],)]),
    ("reverse reversed_copy backwards", 1, Wordings(["Return {a} reversed.", "Reverse {a}.", "Return {a} in reverse order."], ["Return the list {a} reversed."]), "return {a}[::-1]", [([1, 2, 3],), ("abc",)]),
    ("sort_items in_order sort_list", 1, Wordings(["Return the sorted list {a}.", "Sort {a}.", "Return {a} in sorted order."], ["Return the list {a} in sorted order."]), "return sorted({a})", [([3, 1, 2],), ([5],)]),
    ("unique distinct no_repeats", 1, Wordings(["Return the set of items in {a}.", "Return the different items of {a} as a set."], ["Return the different items in {a} as a set."]), "return set({a})", [([3, 1, 3],), ([5],)]),
    ("to_upper upper shout", 1, Wordings(["Return {a} in upper case.", "Make {a} upper case."], ["Return the text {a} in upper case."]), "return {a}.upper()", [("ab",), ("Xy",)]),
    ("to_lower lower quiet", 1, Wordings(["Return {a} in lower case.", "Make {a} lower case."], ["Return the text {a} in lower case."]), "return {a}.lower()", [("AB",), ("Xy",)]),
    ("trim strip_text clean", 1, Wordings(["Remove the spaces around {a}.", "Return {a} without spaces at both ends."], ["Return {a} without the spaces around it."]), "return {a}.strip()", [(" ab ",), ("x",)]),
    ("words split_words split_text", 1, Wordings(["Return the list of words in {a}.", "Split {a} into words."], ["Split the text {a} into words."]), "return {a}.split()", [("a b",), ("x",)]),
    ("join_words join_text join_all", 1, Wordings(["Join the words in {a} with spaces.", "Return the list {a} joined by spaces."], ["Join the list {a} with spaces."]), "return ' '.join({a})", [(["a", "b"],), (["x"],)]),
    ("starts_with begins", 2, Wordings(["Return True if {a} starts with {b}.", "Check if {a} begins with {b}."], ["Check if {a} starts with {b}."]), "return {a}.startswith({b})", [("abc", "a"), ("abc", "c")]),
    ("ends_with ends", 2, Wordings(["Return True if {a} ends with {b}.", "Check if {a} ends with {b}."], ["Return True if the text {a} ends with {b}."]), "return {a}.endswith({b})", [("abc", "a"), ("abc", "c")]),
    ("contains has includes", 2, Wordings(["Return True if {b} is in {a}.", "Check if {a} contains {b}."], ["Return True if {a} contains {b}."]), "return {b} in {a}", [([1, 2], 2), ([1], 3)]),
    ("is_empty empty nothing", 1, Wordings(["Return True if {a} is empty.", "Check if {a} has no items."], ["Check if {a} is empty."]), "return len({a}) == 0", [([],), ([1],)]),
    ("squares square_all", 1, Wordings(["Return the squares of the numbers in {a}.", "Square all numbers in {a}."], ["Return the squares of all numbers in {a}."]), "return [x * x for x in {a}]", [([1, 2],), ([],)]),
    ("evens even_numbers keep_even", 1, Wordings(["Return the even numbers in {a}.", "Keep only the even numbers of {a}."], ["Return only the even numbers in {a}."]), "return [x for x in {a} if x % 2 == 0]", [([1, 2],), ([],)]),
    ("doubles double_all", 1, Wordings(["Return all numbers in {a} doubled.", "Double all numbers in {a}."], ["Double the numbers in {a}."]), "return [x * 2 for x in {a}]", [([1, 2],), ([],)]),
    ("factorial fact", 1, Wordings(["Return the factorial of {a}.", "Compute {a} factorial."], ["Compute the factorial of {a}."]), "result = 1\n    for i in range(2, {a} + 1):\n        result *= i\n    return result", [(5,), (1,)]),
    ("count_up numbers_to up_to", 1, Wordings(["Return the numbers from 1 to {a}.", "List the numbers from 1 to {a}."], ["Return a list of the numbers from 1 to {a}."]), "return list(range(1, {a} + 1))", [(3,), (1,)]),
    ("area rectangle_area", 2, Wordings(["Return the area of a rectangle with sides {a} and {b}."], ["Return the rectangle area for sides {a} and {b}."]), "return {a} * {b}", [(2, 3), (7, 4)]),
    ("minutes_to_seconds seconds", 1, Wordings(["Return the seconds in {a} minutes.", "Turn {a} minutes into seconds."], ["Return {a} minutes in seconds."]), "return {a} * 60", [(2,), (7,)]),
    ("greet hello say_hello", 1, Wordings(["Return a greeting for {a}.", "Say hello to {a}."], ["Return a hello for {a}."]), "return 'Hello, ' + {a}", [("Bo",), ("x",)]),
]
PARAMETERS = "a b x y n m p q value items data text other left right first second numbers word u v".split()
LAYOUT = Wordings(
    ["Complete this [Python |]function.\n\n```python\n{code}\n```", "Finish the [function|code].\n```python\n{code}\n```",
     "```python\n{code}\n```\n\nComplete the [code|function].", "[Please complete|Complete]:\n\n```python\n{code}\n```",
     "Write the body of this function:\n```python\n{code}\n```"],
    ["Please finish this Python function.\n\n```python\n{code}\n```", "Complete the code of this function:\n```python\n{code}\n```"])
ASK = Wordings(
    ["Write a [Python |]function {name}({args}). {doc}", "[Python function|Function] {name}({args}): {doc}",
     "Write {name}({args}) in Python. {doc}"],
    ["Write a function {name}({args}) in Python. {doc}"])


def code(m):
    names, n_args, docs, body, cases = m.choice(FUNCTIONS)
    name = m.choice(names.split()) if m.chance(0.6) else m.word(1, 2)
    a, b = [m.word(1, 2) if m.chance(0.25) else p for p in m.rng.sample(PARAMETERS, 2)]
    args = f"{a}, {b}" if n_args == 2 else a
    doc = m.say(docs, a=a, b=b)
    body = body.replace("{a}", a).replace("{b}", b)
    head = f"def {name}({args}):\n"
    if m.chance(0.6):
        content = m.say(LAYOUT, code=f"{head}    \"\"\"{doc}\"\"\"")
    else:
        content = m.say(ASK, name=name, args=args, doc=doc)
    answer = f"```python\n{head}    {body}\n```"
    return {"task": "code", "messages": [{"role": "user", "content": content}, {"role": "assistant", "content": answer}],
            "check": {"function": name, "cases": [list(c) for c in cases]}}
