"""Classifiers by name: ConvNet, ResNet-AP-10, and the models of torchvision and timm."""

from hmnpack.networks.build import build_network, library_version, network_on_meta
from hmnpack.networks.convnet import ConvNet
from hmnpack.networks.features import FeatureNetwork

__all__ = ["ConvNet", "FeatureNetwork", "build_network", "library_version", "network_on_meta"]
