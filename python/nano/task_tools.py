"""Function calls: the system message lists functions, the answer is a call, a reply from a result, or plain text.

The prompt form is the server's: docs/api.md, "Function calls".
"""

import json

from task_chat import one_fact, small_talk_turn
from words import DAYS, Wordings

INTRO = "Call a function if it helps. Write each call as <tool_call>{\"name\": ..., \"arguments\": {...}}</tool_call>."


OWN_SYSTEM = ["You are a helpful assistant.", "You are an assistant.", "You are DBRX nano, a small helpful assistant.",
              "Answer briefly.", "Be brief and correct."]


def number(low, high):
    return lambda m: m.number(low, high)


# function: description, parameters (name: JSON type, maker), wordings of a request, a result and the reply to it
FUNCTIONS = {
    "get_weather": ("Weather of a city", {"city": ("string", lambda m: m.city())}, Wordings(
        ["What is the weather in {city}?", "How is the weather in {city}[ today|]?", "[Will it rain|Is it warm|Is it cold] in {city}?",
         "[Tell me|Show me|Check] the weather in {city}.", "Do I need a coat in {city}?"],
        ["Please check the weather in {city}.", "Tell me how the weather is in {city}."]),
        {"degrees": number(1, 39)}, "It is {degrees} degrees in {city}."),
    "find_order": ("Status of an order", {"order_id": ("string", lambda m: m.code(["ORD", "SO", "PO"]))}, Wordings(
        ["Where is [my |]order {order_id}?", "[Find|Check|Look up] [the |]order {order_id}.", "What is the status of [order |]{order_id}?",
         "Has {order_id} [been shipped|arrived]?", "I wait for order {order_id}."],
        ["Please look up my order {order_id}.", "What happened to order {order_id}?"]),
        {"status": lambda m: m.choice(["shipped", "delayed", "cancelled", "delivered", "lost", "ready"])},
        "Order {order_id} is {status}."),
    "send_email": ("Send an e-mail", {"to": ("string", lambda m: m.email()), "subject": ("string", lambda m: m.name_word(1, 3) + " " + m.choice(
        ["plan", "budget", "launch", "contract", "report"]))}, Wordings(
        ["[Send|Write] [an e-mail|a mail] to {to} about [the |]{subject}.", "Mail {to} about the {subject}.",
         "[Tell|Ask] {to} about the {subject}[ by mail|].", "[Send|Write] {to} a mail, subject {subject}."],
        ["Please write to {to} about the {subject}.", "Send a mail about the {subject} to {to}."]),
        {"sent": lambda m: True}, "Your mail to {to} is sent."),
    "book_room": ("Book a meeting room", {"room": ("string", lambda m: m.name_word(1, 3)), "day": ("string", lambda m: m.choice(DAYS)),
                                          "people": ("integer", number(2, 40))}, Wordings(
        ["Book room {room} [for|on] {day} for {people} people.", "[I need|We need] the {room} room on {day}, {people} people.",
         "On {day} {people} of us meet in {room}. [Book it|Please book].", "[Reserve|Book] {room} on {day}. We are {people}."],
        ["Please book the {room} room for {people} people on {day}.", "We are {people} people on {day}. Reserve room {room}."]),
        {"booked": lambda m: True}, "Room {room} is booked for {day}."),
    "get_price": ("Price of a product", {"product": ("string", lambda m: m.product())}, Wordings(
        ["[How much is|What is the price of|What does] the {product}[ now|]?", "[Find|Check|Tell me] the price of the {product}.",
         "Price of {product}?", "What do I pay for the {product}?"],
        ["Please find the price of the {product}.", "How much do you want for the {product}?"]),
        {"euros": number(2, 999)}, "The {product} costs {euros} euros."),
    "find_employee": ("Find a person in the company", {"name": ("string", lambda m: m.person())}, Wordings(
        ["[Find|Look up|Search] {name}.", "[How do I reach|What is the phone number of|Which team has] {name}?",
         "I need [the phone of|to call] {name}.", "Who is {name}?"],
        ["Please look up {name} for me.", "How can I call {name}?"]),
        {"phone": lambda m: m.phone()}, "The phone number of {name} is {phone}."),
    "convert_money": ("Convert an amount", {"amount": ("number", number(2, 9999)), "from": ("string", lambda m: m.choice(["EUR", "GBP"])),
                                            "to": ("string", lambda m: m.choice(["USD", "CHF"]))}, Wordings(
        ["[Convert|Change] {amount} {from} [to|into] {to}.", "How much is {amount} {from} in {to}?", "{amount} {from} in {to}?",
         "I have {amount} {from}. [How many|What is that in] {to}?"],
        ["Please change {amount} {from} into {to}.", "What is {amount} {from} in {to}?"]),
        {"result": number(2, 9999)}, "That is {result} {to}."),
    "create_ticket": ("Open a support ticket", {"customer": ("string", lambda m: m.company()), "priority": ("string", lambda m: m.choice(
        ["low", "normal", "high"]))}, Wordings(
        ["[Open|Create] a {priority} priority ticket for {customer}.", "{customer} needs help. [Open|Create] a ticket, priority {priority}.",
         "[New|A] ticket for {customer}, {priority} priority.", "[Open|Create] a ticket: {customer}, {priority}."],
        ["Please open a ticket for {customer} with {priority} priority.", "Make a {priority} ticket for {customer}."]),
        {"ticket_id": lambda m: m.code(["TK", "T"])}, "Ticket {ticket_id} is open."),
}


def schema(name):
    """The function as an OpenAI client describes it."""
    description, parameters = FUNCTIONS[name][:2]
    return {"name": name, "description": description, "parameters": {
        "type": "object", "properties": {k: {"type": t} for k, (t, _) in parameters.items()}, "required": list(parameters)}}


def system_text(names):
    return "\n".join([INTRO, "<tools>", *(json.dumps(schema(n)) for n in names), "</tools>"])


def call_text(name, arguments):
    return f"<tool_call>{json.dumps({'name': name, 'arguments': arguments})}</tool_call>"


def result_text(result):
    return f"<tool_response>{json.dumps(result)}</tool_response>"


def request(m, name):
    """(what the user says, the arguments of the right call)."""
    arguments = {k: make(m) for k, (_, make) in FUNCTIONS[name][1].items()}
    return m.say(FUNCTIONS[name][2], **arguments), arguments


def tools(m):
    """A call is asked for in three of four; training also has two calls at once, results and further turns, and a system
    text of the user's own before the functions."""
    train = m.split == "train"
    names = m.rng.sample(sorted(FUNCTIONS), m.number(1, 3))
    own = m.choice(OWN_SYSTEM) + "\n\n" if train and m.chance(0.3) else ""
    messages = [{"role": "system", "content": own + system_text(names)}]
    for _ in range(m.number(1, 3) if train else 1):
        if m.chance(0.25):
            question, answer = one_fact(m) if m.chance(0.5) else small_talk_turn(m)
            messages += [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
            continue
        asked = [m.choice(names) for _ in range(2 if train and m.chance(0.1) else 1)]
        requests = [(name, *request(m, name)) for name in asked]
        messages += [{"role": "user", "content": " ".join(question for _, question, _ in requests)},
                     {"role": "assistant", "content": "\n".join(call_text(name, arguments) for name, _, arguments in requests)}]
        if train and m.chance(0.4):
            results = [{k: make(m) for k, make in FUNCTIONS[name][3].items()} for name in asked]
            replies = [m.say(Wordings([FUNCTIONS[name][4]], []), **arguments, **result)
                       for (name, _, arguments), result in zip(requests, results)]
            messages += [{"role": "user", "content": "\n".join(map(result_text, results))},
                         {"role": "assistant", "content": " ".join(replies)}]
    return {"task": "tools", "messages": messages}
