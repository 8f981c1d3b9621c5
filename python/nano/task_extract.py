"""JSON extraction: the request names the keys, the answer is one JSON object with those keys in that order."""

import json

from words import DAYS, DEPARTMENTS, Wordings


class Amount(str):
    """A number that keeps its digits as written, in the text and in the JSON answer."""


def amount(m):
    return Amount(m.money())


def count(low, high):
    return lambda m: Amount(m.number(low, high))


# key -> maker; a text template uses every key of its document type
DOCUMENTS = {
    "invoice": dict(
        fields={"invoice_number": lambda m: m.code(["INV", "R", "BILL"]), "vendor": lambda m: m.company(),
                "total": amount, "currency": lambda m: m.choice(["EUR", "USD", "GBP", "CHF"]),
                "due_date": lambda m: m.date()},
        texts=Wordings(
            ["Invoice {invoice_number}\n[From|Vendor|Seller]: {vendor}\nTotal: {total} {currency}\n[Due|Due date|Pay by]: {due_date}",
             "[Please find|Attached is|Here is] invoice {invoice_number} from {vendor} [for|over] {total} {currency}, [due|payable] [on|by] {due_date}.",
             "{vendor} [sent|sends] us invoice {invoice_number}. We [must|have to] pay {total} {currency} [by|before] {due_date}.",
             "[Dear Sir or Madam|Hello|Hi], our invoice {invoice_number} [over|for] {total} {currency} is due [on|by] {due_date}. [Best regards|Thank you], {vendor}",
             "The vendor {vendor} asks for {total} {currency} by {due_date}. See invoice {invoice_number}.",
             "Amount {total} {currency}, due {due_date}: invoice no. {invoice_number} of {vendor}.",
             "By {due_date} we [must|have to] pay {vendor} the sum of {total} {currency} for invoice {invoice_number}.",
             "Bill no. {invoice_number} | {vendor} | {total} {currency} | due {due_date}",
             "Pay {total} {currency} to {vendor} [by|before] {due_date}, [reference|invoice] {invoice_number}.",
             "[Reminder|Note]: invoice {invoice_number} by {vendor} is [open|not paid]. The amount is {currency} {total}, the due date is {due_date}.",
             "The [bill|invoice] of {vendor} ({invoice_number}) is over {total} {currency}. It is due {due_date}."],
            ["Attached is the invoice of {vendor}, no. {invoice_number}. Please pay {total} {currency} by {due_date}.",
             "Vendor: {vendor}\nInvoice: {invoice_number}\nDue: {due_date}\nAmount: {total} {currency}",
             "We have to pay invoice {invoice_number} before {due_date}: {total} {currency} to {vendor}."])),
    "order": dict(
        fields={"order_id": lambda m: m.code(["ORD", "SO", "PO"]), "customer": lambda m: m.person(),
                "product": lambda m: m.product(), "quantity": count(1, 60), "city": lambda m: m.city()},
        texts=Wordings(
            ["Order {order_id}\n[Customer|Buyer]: {customer}\n[Item|Product]: {product}\n[Quantity|Pieces]: {quantity}\n[City|Ship to]: {city}",
             "{customer} [from|in] {city} ordered {quantity} [pieces|units] of the {product}[ today|], order {order_id}.",
             "[Hello|Hi], [I want|I would like] to order {quantity} [pieces|units] of {product}. [Ship|Send] it to {city}. My order number is {order_id}. [Regards|Thanks], {customer}",
             "Order {order_id} was placed by {customer}: {quantity} x {product}, [ship to|delivery to] {city}.",
             "[New order|Order] {order_id}: {quantity} x {product} for {customer} in {city}.",
             "Please [send|ship] {quantity} [units|pieces] of the {product} to {customer}, {city}. The order is {order_id}.",
             "{customer} would like {quantity} pieces of {product}, delivery in {city}. Order number {order_id}.",
             "Order {order_id}, {quantity} units of the {product}. Customer: {customer}, {city}.",
             "Thanks for order {order_id}, {customer}. Your {product}, {quantity} pieces, will come to {city}.",
             "{customer} | {city} | {quantity} | {product} | {order_id}",
             "In {city}, {customer} waits for {quantity} [units|pieces] of {product} from order {order_id}."],
            ["Customer {customer} ordered {product}, {quantity} pieces. Delivery to {city}. Order {order_id}.",
             "Order: {order_id}\nCity: {city}\nCustomer: {customer}\nProduct: {product}\nQuantity: {quantity}",
             "Hi, my order {order_id} is {quantity} units of the {product}. Please ship it to {city}. Thanks, {customer}"])),
    "ticket": dict(
        fields={"ticket_id": lambda m: m.code(["TK", "CASE", "T"]), "customer": lambda m: m.company(),
                "product": lambda m: m.product(),
                "issue": lambda m: m.choice(["does not start", "makes a loud noise", "is too slow", "is broken",
                                             "arrived late", "shows an error", "gets too hot", "has a crack",
                                             "lost its cover", "smells of smoke", "does not charge"]),
                "priority": lambda m: m.choice(["low", "normal", "high", "urgent"])},
        texts=Wordings(
            ["Ticket {ticket_id}\n[Customer|Client]: {customer}\nProduct: {product}\n[Issue|Problem]: {issue}\nPriority: {priority}",
             "[Ticket|Case] {ticket_id}: {customer} [says|reports|writes] that the {product} {issue}. [The priority is|Priority:] {priority}.",
             "{customer} opened ticket {ticket_id} with {priority} priority[ today|]: the {product} {issue}.",
             "[Hello|Hi], our {product} {issue}. [Please help|We need help]. {customer}, ticket {ticket_id}, priority {priority}",
             "({priority}) {ticket_id} {customer}: {product} {issue}",
             "The {product} {issue}, priority {priority}. Ticket {ticket_id}, customer {customer}.",
             "Customer {customer} says: the {product} {issue}. Ticket {ticket_id} has {priority} priority.",
             "Our ticket number is {ticket_id}. The {product} {issue} and this is {priority}. Thanks, {customer}",
             "Priority {priority}. The {product} of {customer} {issue}. See ticket {ticket_id}.",
             "We have a {priority} [case|ticket], {ticket_id}. The {product} {issue}, [says|writes] {customer}."],
            ["Ticket {ticket_id} has priority {priority}. {customer} says the {product} {issue}.",
             "Client: {customer}\nTicket: {ticket_id}\nPriority: {priority}\nProduct: {product}\nProblem: {issue}",
             "Hello, the {product} {issue}. Our ticket is {ticket_id}, the priority is {priority}. {customer}"])),
    "meeting": dict(
        fields={"topic": lambda m: f"{m.name_word(1, 3)} {m.choice(['plan', 'budget', 'launch', 'contract', 'project', 'audit'])}",
                "day": lambda m: m.choice(DAYS), "time": lambda m: m.clock(),
                "room": lambda m: m.name_word(1, 3) if m.chance(0.5) else f"{m.letters(1)}{m.number(1, 40)}",
                "organizer": lambda m: m.person()},
        texts=Wordings(
            ["[Subject|Topic]: {topic}\n[When|Time]: {day}, {time}\n[Where|Room]: {room}\n[Organizer|From]: {organizer}",
             "{organizer} invites you to [talk about|discuss] the {topic} on {day} at {time} in room {room}.",
             "[Dear all|Hi all|Hello team], we [meet|will meet] on {day} at {time} in room {room} to [discuss|talk about] the {topic}. [Regards|Thanks], {organizer}",
             "The {topic} meeting [is|will be] on {day}, {time}, room {room}. {organizer} [leads|holds] it.",
             "At {time} on {day}, the {topic} is discussed in room {room}. From {organizer}.",
             "Hello, {organizer} here. We discuss the {topic} in room {room}, {day}, {time}.",
             "Please come to room {room} on {day}, {time}: {topic} with {organizer}.",
             "Room {room} is booked by {organizer} for the {topic}, {day} {time}.",
             "On {day} at {time}, {organizer} [will present|presents] the {topic} in room {room}.",
             "[Please join|Join] {organizer} in room {room} at {time} on {day}. We [discuss|talk about] the {topic}."],
            ["On {day} at {time} we meet in room {room} to discuss the {topic}. {organizer} leads it.",
             "Topic: {topic}\nOrganizer: {organizer}\nRoom: {room}\nTime: {day}, {time}",
             "Hello team, please join the {topic} meeting on {day}, {time}, in room {room}. Thanks, {organizer}"])),
    "delivery": dict(
        fields={"tracking_number": lambda m: m.code(["TR", "PX", "DL"]), "recipient": lambda m: m.person(),
                "street": lambda m: m.street(), "city": lambda m: m.city(), "weight_kg": count(1, 80)},
        texts=Wordings(
            ["[Parcel|Tracking] {tracking_number}\n[To|Recipient]: {recipient}\n[Street|Address]: {street}\nCity: {city}\nWeight: {weight_kg} kg",
             "[Parcel|Package] {tracking_number} ({weight_kg} kg) goes to {recipient}, {street}, {city}.",
             "[Deliver|Bring] the {weight_kg} kg [parcel|package] {tracking_number} to {recipient}, {street}, {city}.",
             "{recipient} in {city}, {street}, [waits for|gets] [parcel|package] {tracking_number} with {weight_kg} kg.",
             "The [parcel|package] for {recipient} weighs {weight_kg} kg. [Address|Street]: {street}, {city}. [Number|Tracking]: {tracking_number}.",
             "Please bring package {tracking_number} to {street} in {city}, for {recipient}. It weighs {weight_kg} kg.",
             "To {recipient}, {street}, {city}: parcel {tracking_number} of {weight_kg} kg.",
             "With {weight_kg} kg, parcel {tracking_number} goes to {city}, {street}, recipient {recipient}.",
             "{tracking_number}: {weight_kg} kg, {recipient}, {street}, {city}"],
            ["The package {tracking_number} weighs {weight_kg} kg and goes to {recipient}, {street}, {city}.",
             "Recipient: {recipient}\nCity: {city}\nStreet: {street}\nParcel: {tracking_number}\nWeight: {weight_kg} kg"])),
    "application": dict(
        fields={"name": lambda m: m.person(), "email": lambda m: m.email(), "phone": lambda m: m.phone(),
                "team": lambda m: m.choice(DEPARTMENTS), "start_date": lambda m: m.date()},
        texts=Wordings(
            ["Name: {name}\n[Email|Mail]: {email}\nPhone: {phone}\nTeam: {team}\n[Start|Start date]: {start_date}",
             "[Hello|Hi], my name is {name} and I [want|would like] to work in the {team} team. I can start on {start_date}. [Call|Phone] {phone} or write to {email}.",
             "{name} [wants|would like] to join the {team} team on {start_date}. [Contact|Reach them]: {email}, {phone}.",
             "Application for {team}: {name}, {phone}, {email}, [free from|start] {start_date}.",
             "I [want|would like] to join your {team} team [from|on] {start_date}. [Regards|Best regards], {name}, {email}, {phone}",
             "{name} is free on {start_date} for the {team} team. Phone: {phone}. Mail: {email}.",
             "My mail is {email} and my phone is {phone}. I can join {team} on {start_date}. Thanks, {name}",
             "{team} team: {name} can start {start_date}. Write to {email} or call {phone}.",
             "From {start_date}, {name} can work in {team}. Phone {phone}, [mail|email] {email}."],
            ["{name} can start on {start_date} and wants to work in the {team} team. Mail: {email}. Phone: {phone}.",
             "Hello, I would like to join the {team} team. My mail is {email}, my phone is {phone}. Start: {start_date}. Regards, {name}"])),
}

REQUEST = Wordings(
    ["Extract {keys} as JSON.\n\n{text}", "[Return|Give me|Write] a JSON object with {keys}.\n\n{text}",
     "{text}\n\nExtract {keys} as JSON.", "Extract these fields as JSON: {keys}\n\n{text}",
     "From this {kind}, extract {keys}. Answer in JSON.\n\n{text}", "JSON with {keys}:\n{text}",
     "Read this {kind} and [give|write] {keys} as JSON.\n\n{text}", "{text}\n\nWrite JSON with [the keys |]{keys}.",
     "Write a JSON object for this text with {keys}.\n\n{text}", "Extract the [fields|keys] {keys}[ as JSON|].\n\n{text}",
     "[Please give|Give] me the {keys} of this {kind} in JSON.\n\n{text}", "JSON only. [Fields|Keys]: {keys}\n\n{text}",
     "Turn this {kind} into JSON with the [keys|fields] {keys}.\n\n{text}", "{text}\n\nGive me {keys} in JSON."],
    ["Extract the fields {keys} from this {kind} and answer in JSON.\n\n{text}", "Give me a JSON object with the fields {keys}.\n\n{text}",
     "Write JSON with the keys {keys} for this text.\n\n{text}"])
# Other names that a form may print for a key.
LABELS = {"invoice_number": ["Invoice", "Invoice no.", "Bill", "Number"], "vendor": ["Vendor", "From", "Seller", "Company"],
          "due_date": ["Due", "Due date", "Pay by", "Due on"], "order_id": ["Order", "Order no.", "Order number"],
          "customer": ["Customer", "Client", "Buyer"], "product": ["Product", "Item"], "quantity": ["Quantity", "Pieces", "Units"],
          "ticket_id": ["Ticket", "Case", "Ticket no."], "issue": ["Issue", "Problem"], "topic": ["Topic", "Subject"],
          "organizer": ["Organizer", "From", "Leader"], "room": ["Room", "Where"], "tracking_number": ["Tracking", "Parcel", "Package"],
          "recipient": ["Recipient", "To"], "street": ["Street", "Address"], "weight_kg": ["Weight in kg", "Weight (kg)", "Kg"],
          "email": ["Email", "Mail"], "start_date": ["Start", "Start date", "Free from"], "team": ["Team", "Department"]}
NEXT = Wordings(["Now extract {keys}.", "And {keys}?", "Now {keys} as JSON."], ["Now give me {keys}."])


def as_json(values, keys):
    """The answer in one spelling: keys in the asked order, one space after : and , (as json.dumps writes it)."""
    parts = [f"{json.dumps(k)}: {values[k] if isinstance(values[k], Amount) else json.dumps(values[k])}" for k in keys]
    return "{" + ", ".join(parts) + "}"


def form(m, values):
    """All values as labelled fields in any order."""
    keys = m.rng.sample(sorted(values), len(values))
    return m.choice(["\n", "\n", "\n", "; ", " | "]).join(
        f"{m.choice(LABELS.get(k, [k.capitalize()]))}: {values[k]}" for k in keys)


def key_list(m, keys):
    if len(keys) > 1 and m.chance(0.4):
        return ", ".join(keys[:-1]) + " and " + keys[-1]
    return ", ".join(keys)


def extract(m):
    kind = m.choice(sorted(DOCUMENTS))
    document = DOCUMENTS[kind]
    values = {key: make(m) for key, make in document["fields"].items()}
    text = form(m, values) if m.split == "train" and m.chance(0.2) else m.say(document["texts"], **values)
    turns = 1 if m.split == "held" else m.number(1, 4)
    messages = []
    for turn in range(turns):
        keys = m.rng.sample(sorted(values), m.number(1, 5))
        wording = REQUEST if turn == 0 else NEXT
        messages += [
            {"role": "user", "content": m.say(wording, keys=key_list(m, keys), text=text, kind=kind)},
            {"role": "assistant", "content": as_json(values, keys)}]
    return {"task": "extract", "messages": messages}
