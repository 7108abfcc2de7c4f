"""Muon for the matrices of the decoder's layers, AdamW for everything else, as one optimizer."""

import re
from typing import Any

import torch
from torch import nn
from torch.optim import AdamW, Muon, Optimizer

# Set in each group of parameters: which optimizer updates it.
USE_MUON = "use_muon"


class MuonWithAdamW(Optimizer):
    """torch's Muon and AdamW behind one state and one list of groups, so that a checkpoint has one optimizer.

    Muon's updates are scaled to the size of AdamW's (`match_rms_adamw`, Liu et al. 2025, section 2.2), so that both
    use the same learning rate and weight decay.

    Args:
        groups: groups of parameters with `use_muon`, and of these only matrices.
        lr: learning rate of all groups.
        adam: other arguments of AdamW.
    """

    def __init__(self, groups: list[dict[str, Any]], lr: float, **adam: Any) -> None:
        self.adam = adam
        super().__init__(groups, {"lr": lr})
        self._split()

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._split()

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """Update the parameters that have a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for part in self._parts:
            part.step()
        return loss

    def _split(self) -> None:
        """Give each optimizer its groups; both read and write this optimizer's groups and state."""
        muon = [group for group in self.param_groups if group[USE_MUON]]
        rest = [group for group in self.param_groups if not group[USE_MUON]]
        self._parts = [Muon(muon, adjust_lr_fn="match_rms_adamw"), AdamW(rest, **self.adam)]
        for part, groups in zip(self._parts, (muon, rest), strict=True):
            part.param_groups, part.state = groups, self.state


def muon_groups(model: nn.Module, decay: set[str], weight_decay: float) -> list[dict[str, Any]]:
    """Group the parameters that are trained: matrices of the decoder's layers for Muon, the rest for AdamW.

    Embeddings, the LM head and the episodes' head are for AdamW (Jordan et al. 2024).

    Args:
        model: the model.
        decay: names of the parameters with weight decay.
        weight_decay: of those.
    """
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            of_layer = re.search(r"\.\d+\.", name) is not None and "meta_head" not in name
            key = (parameter.ndim == 2 and of_layer, name in decay)
            groups.setdefault(key, []).append(parameter)
    return [
        {"params": parameters, USE_MUON: use_muon, "weight_decay": weight_decay if decayed else 0.0}
        for (use_muon, decayed), parameters in sorted(groups.items(), reverse=True)
    ]
