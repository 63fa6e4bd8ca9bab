"""Classes of points (arXiv 2502.02558, Sec. 4) or objects of an event on top of the token encoder."""

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tpcfm.models.heads.edge_head import EdgeHeadNetwork
from tpcfm.models.heads.settings import EdgeHead
from tpcfm.models.polar_mae.pointwise import PointHead, PointUpsampler
from tpcfm.models.polar_mae.settings import PolarMaeModel
from tpcfm.models.polar_mae.token_encoder import TokenEncoder
from tpcfm.models.polar_mae.tokens import Tokens
from tpcfm.nn.norms import batch_scalar
from tpcfm.nn.padded import lengths_of
from tpcfm.nn.queries import TrackSet
from tpcfm.nn.set_decoder import SetDecoder

POINTS = "points"  # name of the one output of the edge head
DECODER_LAYERS, DECODER_DROPOUT = 2, 0.1  # of the set decoder, as in arXiv 2508.14087


class SegmentationModel(nn.Module):
    """Encoder, hidden states of three depths averaged, upsampling to points, and a per-point classifier or a set decoder.

    Args:
        config: encoder width and depth.
        classes: number of classes; 0 for a set decoder that finds the objects of each event.
        frozen: keep the encoder's weights, and keep it in evaluation mode even while the rest trains (PEFT).
        head_hidden: first hidden width of the per-point classifier; 0 = 4/3 of the width (512 in the paper).
        head_dropout: of the per-point classifier.
        queries: objects that the set decoder can find in an event.
        edge_head: in place of upsampler and head: edge convolutions over interpolated token features and local geometry.
        geometry: for it, numbers of local geometry of a point and of a pair.
        tokens: false leaves the encoder's features out: local geometry alone.
    """

    def __init__(
        self,
        config: PolarMaeModel,
        classes: int = 4,
        *,
        frozen: bool = False,
        head_hidden: int = 0,
        head_dropout: float = 0.5,
        queries: int = 60,
        edge_head: EdgeHead | None = None,
        geometry: Sequence[int] = (0, 0),
        tokens: bool = True,
    ) -> None:
        super().__init__()
        self.config, self.frozen, self.tokens = config, frozen, tokens
        self.encoder = TokenEncoder(config)
        self.upsampler: nn.Module = nn.Identity() if edge_head else PointUpsampler(config.width)
        self.head_hidden = (head_hidden or 4 * config.width // 3) if classes else 0
        self.head: PointHead | SetDecoder | EdgeHeadNetwork
        if edge_head:
            features = config.width if tokens else 0
            self.head = EdgeHeadNetwork(features, geometry[0], geometry[1], {POINTS: classes}, edge_head)
        elif classes:
            self.head = PointHead(config.width, classes, self.head_hidden, head_dropout)
        else:
            self.head = SetDecoder(config.width, queries, DECODER_LAYERS, config.heads, DECODER_DROPOUT)
        # The paper takes blocks 3, 7, 11 (from 0) of 12; other depths take the same thirds.
        self.layers = tuple(sorted({max(0, (i + 1) * config.depth // 3 - 1) for i in range(3)}))
        if frozen:
            self.encoder.requires_grad_(False)
            self.encoder.eval()

    def set_activation_checkpointing(self, on: bool) -> None:
        """Recompute the encoder's activations in the backward pass instead of keeping them."""
        self.encoder.transformer.activation_checkpointing = on

    def train(self, mode: bool = True) -> "SegmentationModel":
        """Switch to training; a frozen encoder stays in evaluation mode."""
        super().train(mode)
        if self.frozen:
            self.encoder.eval()
        return self

    def token_features(self, tokens: Tokens, factors: Tensor | None = None) -> Tensor:
        """Return ``(T, D)``: hidden states of the chosen blocks, each normalised without gain and shift, averaged."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            _, hidden = self.encoder(tokens, factors=factors, layers=self.layers)
            if self.config.preset == "released":
                normal = [batch_scalar(h) for h in hidden]
            else:
                normal = [F.layer_norm(h.float(), h.shape[-1:]) for h in hidden]
            return torch.stack(normal).mean(0)

    def interpolated(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Return the token features ``(N, D)`` interpolated at the points of a batch."""
        features = self.token_features(Tokens.from_batch(batch))
        return torch.einsum("nkd,nk->nd", features[batch["nearest"]], batch["nearest_weight"].to(features.dtype))

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor | list[TrackSet] | tuple[Tensor, Tensor]:
        """Return logits ``(N, classes)``, or the sets of objects from the first guess to the answer; of edge convolutions pairs of points and
        the logits that they belong to one object.

        Args:
            batch: token keys (:meth:`Tokens.from_batch`), ``nearest`` ``(N, k)``, ``nearest_weight`` ``(N, k)``,
                ``point_xyz`` ``(N, 3)`` scaled coordinates, ``point_event`` ``(N,)``, for objects ``offsets`` ``(B + 1,)``,
                optional ``encoder_factors`` ``(depth, 2, B)``. For edge convolutions their geometry, and token keys, ``nearest`` and
                ``nearest_weight``, or ``interpolated`` ``(N, D)`` in their place.
        """
        if isinstance(self.head, EdgeHeadNetwork):
            given = None
            if self.tokens:
                given = batch["interpolated"] if "interpolated" in batch else self.interpolated(batch)
            answer = self.head(given, batch)
            return answer[POINTS] if isinstance(answer, dict) else answer
        tokens = Tokens.from_batch(batch)
        features = self.token_features(tokens, None if self.frozen else batch.get("encoder_factors"))
        points = self.upsampler(features, batch["nearest"], batch["nearest_weight"], batch["point_xyz"])
        if isinstance(self.head, SetDecoder):
            return self.head(points, lengths_of(batch["offsets"]))
        logits: Tensor = self.head(points, features, tokens.packing, batch["point_event"])
        return logits
