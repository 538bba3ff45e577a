"""The registered sets of sentences."""

from __future__ import annotations

from plaza_training.data.dataset import DataSet, Split, Table, listed

_GITHUB = "https://github.com"

BANKING77 = DataSet(
    name="nlp-banking77",
    title="BANKING77: customer questions to a bank, 77 intents",
    licence="CC-BY-4.0",
    source=f"{_GITHUB}/PolyAI-LDN/task-specific-datasets"
    "/tree/57ec275d8078af65b7731c2a98be812d844a6d6b/banking_data",
    attribution="Casanueva et al. (2020), PolyAI; used unchanged for training and testing.",
    files=listed("nlp-banking77"),
    family="text",
    may_ship=True,
    tables=(
        Table("train.csv", 10_003, ("text", "category")),
        Table("test.csv", 3_080, ("text", "category")),
    ),
    splits=(Split("train", 10_003, "train.csv"), Split("test", 3_080, "test.csv")),
    protocol="accuracy on the published test part",
)

CLINC150 = DataSet(
    name="nlp-clinc150",
    title="CLINC150: requests to an assistant, 150 intents in 10 domains",
    licence="CC-BY-3.0",
    source=f"{_GITHUB}/clinc/oos-eval/tree/828f8093932c8fe6ca7936c3d2e52903b1c523de",
    attribution="Larson et al. (2019), Clinc; used unchanged for training and testing.",
    files=listed("nlp-clinc150"),
    family="text",
    may_ship=True,
    splits=tuple(
        Split(name, count, f"data_full.json#{name}")
        for name, count in (
            ("train", 15_000),
            ("val", 3_000),
            ("test", 4_500),
            ("oos_train", 100),
            ("oos_val", 100),
            ("oos_test", 1_000),
        )
    ),
    protocol="accuracy in scope; recall of the out-of-scope requests",
)

THUCNEWS = DataSet(
    name="nlp-thucnews-titles",
    title="THUCNews titles: Chinese headlines of 10 sections, 33,590 of 180,000 to train on",
    licence="research use only",
    source=f"{_GITHUB}/Mikky-Li/thuc/tree/236cfeaee2a4563bac74fcdb569fddc577edb85d",
    attribution="THUNLP, Tsinghua University; for benchmark figures, nothing of it ships.",
    files=listed("nlp-thucnews-titles"),
    family="text",
    tables=(
        Table("train.txt", 33_590),
        Table("dev.txt", 10_000),
        Table("test.txt", 10_000),
    ),
    splits=(
        Split("train", 33_590, "train.txt"),
        Split("dev", 10_000, "dev.txt"),
        Split("test", 10_000, "test.txt"),
    ),
    protocol="accuracy on the test part; 33 of its titles also occur in train",
)

CHINESE_PAIRS = DataSet(
    name="nlp-csts-zh",
    title="Chinese sentence pairs: STS-B, LCQMC, AFQMC, OPPO",
    licence="research use only",
    source=f"{_GITHUB}/zejunwang1/CSTS/tree/2e7eeedf505c78bf39d34f836773081cfc98af0c",
    attribution="HIT, Ant Financial and others, collected in CSTS; nothing of it ships.",
    files=listed("nlp-csts-zh"),
    family="text",
    tables=(
        Table("Chinese-STS-B/sts-b-train.txt", 5_231),
        Table("Chinese-STS-B/sts-b-dev.txt", 1_458),
        Table("Chinese-STS-B/sts-b-test.txt", 1_361),
        Table("LCQMC/dev.txt", 8_802),
        Table("LCQMC/test.txt", 12_500),
        Table("AFQMC/train.txt", 34_334),
        Table("AFQMC/dev.txt", 4_316),
        Table("OPPO-xiaobu/dev.txt", 10_000),
    ),
    protocol="Spearman's correlation on the published test parts",
)

ENGLISH_PAIRS = DataSet(
    name="nlp-sts-en",
    title="English sentence pairs: SemEval STS 2012-2016, SICK 2014",
    licence="mixed, partly non-commercial",
    source=f"{_GITHUB}/brmson/dataset-sts/tree/e1d3375f5b3bc24f21aa4e46f96eb379e9fc1081",
    attribution="SemEval STS organisers; Marelli et al. (2014); nothing of it ships.",
    files=listed("nlp-sts-en"),
    family="text",
    protocol="Spearman's correlation on the published test parts",
)

CITIZEN_CASES = DataSet(
    name="nlp-311-sf",
    title="San Francisco 311: 10,000 cases, 61 categories",
    licence="open data of the City of San Francisco",
    source=f"{_GITHUB}/Maarham/UPenn_500_Proj/tree/77813641f770b5d693a50d42707d240473a0d914",
    attribution="City and County of San Francisco. Changes: address and notes left out.",
    files=listed("nlp-311-sf"),
    family="text",
    may_ship=True,
    tables=(
        Table(
            "sf311_10000.csv",
            10_000,
            ("created_date", "closed_date", "status", "agency_name", "category",
             "complaint_type", "descriptor", "source", "neighborhood"),
        ),
    ),
    protocol="none: the texts are fixed phrases",
)  # fmt: skip

WORDNET = DataSet(
    name="nlp-wordnet",
    title="Open English WordNet: 107,530 definitions and 50,024 examples of use",
    licence="CC-BY-4.0",
    source=f"{_GITHUB}/globalwordnet/english-wordnet/tree/d94538ad0df3d7a4c77837bde6af69d7a6592c32",
    attribution="Princeton WordNet and the Open English WordNet team; definitions and examples are "
    "used as plain sentences.",
    files=listed("nlp-wordnet"),
    family="text",
    may_ship=True,
    protocol="none: sentences without labels",
)
