"""The values of a request that a kit's data contract is about, by the names of the contract.

The same names in every API of a task: a conversation of the Responses API is ``messages``, too.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from pydantic import JsonValue

from mealkit.runtime.api.named_prompt import NamedPrompt


@dataclass(frozen=True, slots=True)
class ContractInputs:
    """A request's values, and where the caller has written them."""

    values: Mapping[str, JsonValue]
    places: Mapping[str, str] = field(default_factory=dict)
    """The field of the request, by that of the contract, where the two are not the same."""
    prefix: str = ""
    """The beginning of the other fields in the request."""

    def place(self, name: str) -> str:
        """Return the field of the request for a field of the contract, or for a part of one."""
        for inner, outer in self.places.items():
            if name == inner or (name.startswith(inner) and name[len(inner)] in ".["):
                return outer + name[len(inner) :]
        return self.prefix + name


def with_variables(values: Mapping[str, JsonValue], variables: Mapping[str, str]) -> ContractInputs:
    """Return values beside those of a prompt's variables, which the contract may name, too."""
    own = {name: text for name, text in variables.items() if name not in values}
    return ContractInputs({**own, **values}, {name: f"variables.{name}" for name in own})


def chat_inputs(messages: Iterable[JsonValue], prompt: NamedPrompt | None) -> ContractInputs:
    """Return the inputs of a chat: a prompt's variables are said by the user, too."""
    said = list(messages)
    variables = prompt.variables if prompt else {}
    inputs = with_variables({}, variables)
    places = {
        f"messages[{len(said) + index}].content": f"variables.{name}"
        for index, name in enumerate(variables)
    }
    said += [{"role": "user", "content": text} for text in variables.values()]
    return ContractInputs({"messages": said, **inputs.values}, {**inputs.places, **places})


def prompt_inputs(prompt: JsonValue | NamedPrompt) -> ContractInputs:
    """Return the inputs of a text to continue: that of a prompt is each of its variables."""
    if not isinstance(prompt, NamedPrompt):
        return ContractInputs({"prompt": prompt})
    inputs = with_variables({"prompt": list(prompt.variables.values())}, prompt.variables)
    places = {
        f"prompt[{index}]": f"variables.{name}" for index, name in enumerate(prompt.variables)
    }
    return ContractInputs(inputs.values, {**inputs.places, **places})
