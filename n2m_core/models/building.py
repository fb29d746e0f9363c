"""From a configuration to its network: Noise2Map, a peer, or IDGBR."""

from __future__ import annotations

from n2m_core.errors import ParameterError
from n2m_core.models.idgbr import Refiner
from n2m_core.models.multitask import MultiTask
from n2m_core.models.network import NETWORKS, REFINERS, AbstractNetwork, NetworkConfig
from n2m_core.models.noise2map import Noise2Map
from n2m_core.models.peers.changeformer import ChangeFormer
from n2m_core.models.peers.ddpm_cd import FrozenFeatureDetector
from n2m_core.models.peers.deeplab import DeepLabV3Plus
from n2m_core.models.peers.segformer import SegFormer
from n2m_core.models.peers.unet import SiameseUNet, UNet
from n2m_core.models.peers.upernet import UPerNet


def build(config: NetworkConfig) -> AbstractNetwork:
    """Build a network with random weights.

    Args:
        config: names it and gives its sizes.

    Returns:
        The network in training mode.

    Raises:
        ParameterError: there is no such network, a setting is unknown, or the number of input
            channels does not fit the design.
    """
    networks: dict[str, type[AbstractNetwork]] = {
        "compact": Noise2Map,
        "paper": Noise2Map,
        "unet": UNet,
        "deeplabv3plus": DeepLabV3Plus,
        "segformer": SegFormer,
        "upernet": UPerNet,
        "siamese-unet": SiameseUNet,
        "changeformer": ChangeFormer,
        "ddpm-cd": FrozenFeatureDetector,
        "idgbr": Refiner,
        "idgbr-paper": Refiner,
    }
    if config.variant not in networks:
        raise ParameterError(
            f"There is no network '{config.variant}'; choose one of "
            f"{', '.join((*NETWORKS, *REFINERS))}."
        )
    if config.pair_classes is not None:
        return MultiTask(config)
    return networks[config.variant](config)
