"""Checks that the model can be divided among the number of GPUs that the kit sets."""

from mealkit.preflight.facts import Facts
from mealkit.preflight.finding import Check, Context, Finding, Severity
from mealkit.recipe.requirements import Requirements


def look(_facts: Facts, requirements: Requirements, _context: Context) -> Finding | None:
    """Block if the heads cannot be divided evenly: the engine refuses to start on any machine."""
    demand, model = requirements.demand, requirements.model
    if demand is None or demand.tensor_parallel < 2:
        return None
    gpus = demand.tensor_parallel
    required = f"a number of heads that {gpus} GPUs can share evenly"
    if model is None:
        return Finding(
            "FIT_HEADS", Severity.WARNS, "unknown", required, "attention heads of the model"
        )
    # Key and value heads are divided, or each one is copied to several GPUs.
    whole = model.kv_heads % gpus == 0 or gpus % model.kv_heads == 0
    fits = model.heads % gpus == 0 and (whole or model.latent is not None)
    return Finding(
        code="FIT_HEADS",
        severity=Severity.PASSES if fits else Severity.BLOCKS,
        measured=f"{model.heads} heads, {model.kv_heads} for keys and values",
        required=required,
        message="attention heads of the model",
    )


CHECK = Check(
    code="FIT_HEADS",
    rule="tensor parallelism divides the model's heads",
    source="vllm/config (verify_with_parallel_config), vllm/model_executor/layers/linear.py",
    look=look,
)
