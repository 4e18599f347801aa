"""Configuration: YAML files and ``key=value`` overrides into typed, strict, frozen objects.

An unknown key is an error with the nearest name, and so is a key that is set without effect.
"""

from agentrl.config.acting import (
    EnvironmentConfig,
    HistoryConfig,
    IsolationConfig,
    LoraConfig,
    PolicyConfig,
    RolloutConfig,
    SamplerConfig,
    VllmConfig,
)
from agentrl.config.agents import EndpointConfig, PromptingConfig
from agentrl.config.common import (
    READ_BY_LOOPS,
    CheckpointConfig,
    EvaluatingConfig,
    EvaluationConfig,
    LoggingConfig,
    OfflineConfig,
    RunConfig,
    SearchingConfig,
    StartingConfig,
    TrainingConfig,
)
from agentrl.config.episodes import EpisodesConfig, MessagesConfig, StoredEpisodesConfig
from agentrl.config.fitting import check_context
from agentrl.config.labelling import CloningLabelsConfig, CriticLabelsConfig
from agentrl.config.learning import (
    ClippedConfig,
    CriticConfig,
    PolicyGradientConfig,
    ReplayConfig,
    UpdateConfig,
    WarmupConfig,
)
from agentrl.config.mixture import MAIN, MixedEnvironmentConfig, MixtureConfig
from agentrl.config.preferring import PreferencesConfig
from agentrl.config.pretraining import (
    EncoderPretrainConfig,
    PretrainConfig,
    StageConfig,
    TinyModelConfig,
    TranscriptsConfig,
)
from agentrl.config.reading import (
    CONFIG_FOLDER,
    find_file,
    notice,
    parse_config,
    read_config,
    read_saved,
    read_yaml,
    save_config,
    settings_left_out,
)
from agentrl.config.rewards import OwnRewarderConfig, PenaltiesConfig, RewardsConfig
from agentrl.config.schemas import describe
from agentrl.config.searching import PairsConfig, SearchConfig
from agentrl.config.section import OnlyWith, Section, check_effect, default_variant
from agentrl.config.start import CloningConfig, DemonstrationsConfig

__all__ = [
    "CONFIG_FOLDER",
    "MAIN",
    "READ_BY_LOOPS",
    "CheckpointConfig",
    "ClippedConfig",
    "CloningConfig",
    "CloningLabelsConfig",
    "CriticConfig",
    "CriticLabelsConfig",
    "DemonstrationsConfig",
    "EncoderPretrainConfig",
    "EndpointConfig",
    "EnvironmentConfig",
    "EpisodesConfig",
    "EvaluatingConfig",
    "EvaluationConfig",
    "HistoryConfig",
    "IsolationConfig",
    "LoggingConfig",
    "LoraConfig",
    "MessagesConfig",
    "MixedEnvironmentConfig",
    "MixtureConfig",
    "OfflineConfig",
    "OnlyWith",
    "OwnRewarderConfig",
    "PairsConfig",
    "PenaltiesConfig",
    "PolicyConfig",
    "PolicyGradientConfig",
    "PreferencesConfig",
    "PretrainConfig",
    "PromptingConfig",
    "ReplayConfig",
    "RewardsConfig",
    "RolloutConfig",
    "RunConfig",
    "SamplerConfig",
    "SearchConfig",
    "SearchingConfig",
    "Section",
    "StageConfig",
    "StartingConfig",
    "StoredEpisodesConfig",
    "TinyModelConfig",
    "TrainingConfig",
    "TranscriptsConfig",
    "UpdateConfig",
    "VllmConfig",
    "WarmupConfig",
    "check_context",
    "check_effect",
    "default_variant",
    "describe",
    "find_file",
    "notice",
    "parse_config",
    "read_config",
    "read_saved",
    "read_yaml",
    "save_config",
    "settings_left_out",
]
