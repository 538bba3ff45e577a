"""The registered sets of series."""

from __future__ import annotations

from plaza_training.data.dataset import DataSet, Split, Table, listed

_GITHUB = "https://github.com"
_TRANSFORMER = ("date", "HUFL", "HULL", "MUFL", "MULL", "LUFL", "LULL", "OT")
_HOURS = 30 * 24
"""Of a month as the literature on ETT and Weather counts them."""


def _months(path: str, *months: int) -> tuple[Split, ...]:
    """Train, valid and test parts of so many months of hours, one after the other."""
    found, first = [], 0
    for name, count in zip(("train", "valid", "test"), months, strict=True):
        found.append(Split(f"{path.partition('.')[0]} {name}", count * _HOURS, path, first))
        first += count * _HOURS
    return tuple(found)


ETT = DataSet(
    name="fc-ett",
    title="ETTh1 and ETTh2: loads and oil temperature of two transformers, hourly, 2016-2018",
    licence="CC-BY-ND-4.0",
    source=f"{_GITHUB}/zhouhaoyi/ETDataset/tree/1d16c8f4f943005d613b5bc962e9eeb06058cf07",
    attribution="Zhou et al. (2021), ETDataset; for benchmark figures, nothing of it ships.",
    files=listed("fc-ett"),
    family="forecast",
    tables=(Table("ETTh1.csv", 17_420, _TRANSFORMER), Table("ETTh2.csv", 17_420, _TRANSFORMER)),
    splits=(*_months("ETTh1.csv", 12, 4, 4), *_months("ETTh2.csv", 12, 4, 4)),
    protocol="z-scored by the train rows; MSE and MAE over all origins, steps and columns",
)

WEATHER = DataSet(
    name="fc-weather-wth",
    title="WTH: hourly weather with wet-bulb temperature, 2010-2013",
    licence="public domain (NOAA), in an Apache-2.0 repository",
    source=f"{_GITHUB}/arrayofstar/2022_Informer_Paddle"
    "/tree/e1f744055217a7834096324bdf85ec7ed3fb31c1",
    attribution="NOAA local climatological data, as published with Informer (Zhou et al., 2021).",
    files=listed("fc-weather-wth"),
    family="forecast",
    may_ship=True,
    tables=(
        Table(
            "WTH.csv",
            35_064,
            ("date", "Visibility", "DryBulbFarenheit", "DryBulbCelsius", "WetBulbFarenheit",
             "DewPointFarenheit", "DewPointCelsius", "RelativeHumidity", "WindSpeed",
             "WindDirection", "StationPressure", "Altimeter", "WetBulbCelsius"),
        ),
    ),
    splits=_months("WTH.csv", 28, 10, 10),
    protocol="as ETT, with 28, 10 and 10 months",
)  # fmt: skip

LOS_LOOP = DataSet(
    name="fc-losloop",
    title="Los-loop: traffic speeds of 207 loop detectors, Los Angeles, 1-7 March 2012",
    licence="MIT",
    source=f"{_GITHUB}/lehaifeng/T-GCN/tree/219a2346f5bf68d54d91a948e7a41a08f9edc46b"
    "/T-GCN/T-GCN-PyTorch",
    attribution=(
        "speeds measured by loop detectors on highways of Los Angeles County, published with "
        "the code of T-GCN, copyright 2021 martinwhl, MIT licence."
    ),
    files=listed("fc-losloop"),
    family="forecast",
    may_ship=True,
    tables=(Table("los_speed.csv", 2_016, unit="mph"),),
    splits=(Split("train", 1_612, "los_speed.csv"), Split("test", 404, "los_speed.csv", 1_612)),
    protocol="12 steps in, 3, 6, 9 or 12 out, inside the last fifth; RMSE and MAE over all steps",
)

ISO_NE = DataSet(
    name="fc-isone-load",
    title="ISO New England: hourly system load, March 2003 to December 2014",
    licence="MIT",
    source=f"{_GITHUB}/yalickj/load-forecasting-resnet"
    "/tree/30f7932472ba2b966ba0b85f970c64d0622c100f",
    attribution=(
        "public load data of ISO New England, published with the code of Chen et al. (2018), "
        "copyright 2018 Kunjin Chen, MIT licence."
    ),
    files=listed("fc-isone-load"),
    family="forecast",
    may_ship=True,
    tables=(
        Table(
            "selected_data_ISONE.csv",
            103_776,
            ("date", "year", "month", "day", "weekday", "hour", "demand", "temperature"),
            "MW, degrees Fahrenheit",
        ),
    ),
    splits=(
        Split("train", 952 * 24, "selected_data_ISONE.csv", 84 * 24),
        Split("test", 365 * 24, "selected_data_ISONE.csv", 1_036 * 24),
    ),
    protocol="the 24 hours of each test day from the end of the day before; MAPE",
)

M4 = DataSet(
    name="fc-m4",
    title="M4 competition: 414 hourly and 359 weekly series",
    licence="none stated",
    source=f"{_GITHUB}/Mcompetitions/M4-methods/tree/6c1067e5a57161249b17289a565178dc7a3fb3ca",
    attribution="Makridakis et al. (2020); for benchmark figures, nothing of it ships.",
    files=listed("fc-m4"),
    family="forecast",
    tables=tuple(
        Table(f"{kind}.csv", rows, tuple(f"V{i}" for i in range(1, columns + 1)))
        for kind, rows, columns in (
            ("Hourly-train", 414, 961),
            ("Hourly-test", 414, 49),
            ("Weekly-train", 359, 2_598),
            ("Weekly-test", 359, 14),
        )
    ),
    splits=(
        Split("hourly train", 414, "Hourly-train.csv"),
        Split("hourly test", 414, "Hourly-test.csv"),
        Split("weekly train", 359, "Weekly-train.csv"),
        Split("weekly test", 359, "Weekly-test.csv"),
    ),
    protocol="48 steps of hourly, 13 of weekly series; sMAPE, MASE, and OWA against Naive2",
)

FLUSIGHT = DataSet(
    name="fc-flusight",
    title="FluSight: weekly influenza admissions by US state, 2022-2026",
    licence="MIT",
    source=f"{_GITHUB}/cdcepi/FluSight-forecast-hub/tree/92469693f9114523f877d69edd5b9d084e7218ad",
    attribution="CDC National Healthcare Safety Network, public domain; hub files MIT, CDC.",
    files=listed("fc-flusight"),
    family="forecast",
    may_ship=True,
    tables=(
        Table(
            "target-hospital-admissions.csv",
            12_190,
            ("date", "location", "location_name", "value", "weekly_rate"),
            "admissions a week",
        ),
        Table("target-ed-visits-prop.csv", 10_192, ("date", "location_name", "value", "location")),
    ),
    protocol=(
        "season 2024-25 validates, 2025-26 tests; 23 quantiles, horizons 0-3 weeks, from data up "
        "to the reference date; weighted interval score relative to the hub's baseline"
    ),
)

ILLNESS = DataSet(
    name="fc-illness-exchange",
    title="ILI: weekly influenza-like illness in the US, 2002-2020; daily exchange rates",
    licence="US public domain (ILI); none stated (exchange rates)",
    source=f"{_GITHUB}/junwoopark92/Self-Supervised-Contrastive-Forecsating"
    "/tree/f394705adbf5217811276f5e59576c6e7ea7586c",
    attribution="US CDC; Lai et al. (2018); for benchmark figures, nothing of it ships.",
    files=listed("fc-illness-exchange"),
    family="forecast",
    tables=(
        Table(
            "national_illness.csv",
            966,
            ("date", "% WEIGHTED ILI", "%UNWEIGHTED ILI", "AGE 0-4", "AGE 5-24", "ILITOTAL",
             "NUM. OF PROVIDERS", "OT"),
        ),
    ),
    splits=(
        Split("ILI train", 676, "national_illness.csv"),
        Split("ILI valid", 97, "national_illness.csv", 676),
        Split("ILI test", 193, "national_illness.csv", 773),
    ),
    protocol="as ETT, with 70, 10 and 20 % of the rows",
)  # fmt: skip

EPIDEMICS = DataSet(
    name="fc-epignn",
    title="Influenza in Japan and the US, COVID-19 in Australia and Spain, by region",
    licence="none stated",
    source=f"{_GITHUB}/Xiefeng69/EpiGNN/tree/1c0bb8c2e162126c30eeb76218ee264cbad0e217",
    attribution="Japan IDWR, US CDC, JHU CSSE; for benchmark figures, nothing of it ships.",
    files=listed("fc-epignn"),
    family="forecast",
    tables=(
        Table("japan.txt", 348, unit="patients a week"),
        Table("region785.txt", 785, unit="patients a week"),
        Table("state360.txt", 360, unit="patients a week"),
        Table("australia-covid.txt", 556, unit="cases a day"),
        Table("spain-covid.txt", 122, unit="cases a day"),
    ),
    protocol="50, 20 and 30 % of the rows; 20 steps in, step 3, 5, 10 or 15 out; RMSE and PCC",
)
