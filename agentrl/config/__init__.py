"""Configuration: YAML files and ``key=value`` overrides into typed, strict, frozen objects.

An unknown key is an error with the nearest name.
"""

from agentrl.config.acting import (
    EnvironmentConfig,
    HistoryConfig,
    IsolationConfig,
    LoraConfig,
    PolicyConfig,
    RolloutConfig,
    SamplerConfig,
    Section,
    VllmConfig,
)
from agentrl.config.episodes import EpisodesConfig, MessagesConfig, StoredEpisodesConfig
from agentrl.config.fitting import check_context
from agentrl.config.labelling import CloningLabelsConfig, CriticLabelsConfig
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
    describe,
    find_file,
    load_config,
    parse_config,
    read_config,
    save_config,
)
from agentrl.config.schema import (
    ActorConfig,
    CheckpointConfig,
    CloningConfig,
    CriticConfig,
    DemonstrationsConfig,
    EvaluationConfig,
    LoggingConfig,
    ReplayConfig,
    RunConfig,
    WarmupConfig,
)
from agentrl.config.searching import PairsConfig, SearchConfig
from agentrl.config.unused import without_effect

__all__ = [
    "CONFIG_FOLDER",
    "ActorConfig",
    "CheckpointConfig",
    "CloningConfig",
    "CloningLabelsConfig",
    "CriticConfig",
    "CriticLabelsConfig",
    "DemonstrationsConfig",
    "EncoderPretrainConfig",
    "EnvironmentConfig",
    "EpisodesConfig",
    "EvaluationConfig",
    "HistoryConfig",
    "IsolationConfig",
    "LoggingConfig",
    "LoraConfig",
    "MessagesConfig",
    "PairsConfig",
    "PolicyConfig",
    "PreferencesConfig",
    "PretrainConfig",
    "ReplayConfig",
    "RolloutConfig",
    "RunConfig",
    "SamplerConfig",
    "SearchConfig",
    "Section",
    "StageConfig",
    "StoredEpisodesConfig",
    "TinyModelConfig",
    "TranscriptsConfig",
    "VllmConfig",
    "WarmupConfig",
    "check_context",
    "describe",
    "find_file",
    "load_config",
    "parse_config",
    "read_config",
    "save_config",
    "without_effect",
]
