"""How a conversation looks as text: the chat template's rendering in plain code, with the standard library only."""

DEFAULT_SYSTEM = "You are DBRX nano, a small helpful assistant."


def render(messages):
    """The prompt text of the chat template, in parts, each with whether the assistant wrote it."""
    if messages[0]["role"] == "system":
        system, turns = messages[0]["content"].strip(), messages[1:]
    else:
        system, turns = DEFAULT_SYSTEM, messages
    parts = [("<|im_start|>system\n" + system + "<|im_end|>\n", False)]
    for i, m in enumerate(turns):
        head = ("\n" if i else "") + f"<|im_start|>{m['role']}\n"
        parts += [(head, False), (m["content"] + "<|im_end|>", m["role"] == "assistant")]
    return parts
