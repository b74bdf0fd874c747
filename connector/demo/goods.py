"""What the sample enterprise sells: plausible goods with ten-digit commodity codes, customs units and models."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Goods:
    """One article of the range, sold in one SKU."""

    sku: str
    """企业商品编号, up to 20 characters."""
    gcode: str
    """Ten-digit commodity code."""
    name: str
    model: str
    unit: str
    """Unit it is declared in, a three-digit customs code: 011 件, 007 个, 025 双, 035 千克, …"""
    unit1: str
    """First statutory unit."""
    each1: Decimal
    """First statutory quantity of one unit."""
    unit2: str | None
    each2: Decimal | None
    price: Decimal
    """CNY for one unit."""
    weight: Decimal
    """Kilograms of one unit."""
    brand: str


def _goods(row: str) -> Goods:
    sku, gcode, name, model, unit, unit1, each1, unit2, each2, price, weight, brand = (
        part.strip() for part in row.split(";")
    )
    return Goods(
        sku=sku,
        gcode=gcode,
        name=name,
        model=model,
        unit=unit,
        unit1=unit1,
        each1=Decimal(each1),
        unit2=unit2 or None,
        each2=Decimal(each2) if each2 else None,
        price=Decimal(price),
        weight=Decimal(weight),
        brand=brand,
    )


# SKU; code; name; model; unit; statutory unit and how much of it in one; second unit likewise; price; kilograms; brand
_RANGE = """
YF-FS-00101;6109100021;全棉男式T恤衫;针织|男式|100%棉|短袖|云帆牌|货号T21;011;011;1;035;0.185;59.00;0.20;云帆
YF-FS-00102;6204430010;女式连衣裙;机织|女式|100%涤纶|云帆牌|货号D08;011;011;1;035;0.32;128.00;0.35;云帆
YF-FS-00103;6110300090;女式针织套头衫;针织|女式|腈纶65%羊毛35%|云帆牌|货号K33;011;011;1;035;0.41;139.00;0.45;云帆
YF-FS-00104;6203424090;男式牛仔长裤;机织|男式|棉98%氨纶2%|云帆牌|货号J17;015;015;1;035;0.62;149.00;0.66;云帆
YF-XL-00201;6404110000;运动鞋;鞋面纺织材料|鞋底橡胶|途野牌|货号R6;025;025;1;035;0.74;219.00;0.95;途野
YF-XL-00202;6402999000;女式凉鞋;鞋面塑料|鞋底塑料|途野牌|货号S2;025;025;1;035;0.38;89.00;0.52;途野
YF-XL-00203;4202920000;双肩背包;涤纶面料|28升|途野牌|型号B28;007;007;1;035;0.68;169.00;0.75;途野
YF-XL-00204;4202220000;女式手提包;纺织材料作面|途野牌|型号H5;007;007;1;035;0.45;199.00;0.55;途野
YF-SM-00301;8518300000;无线蓝牙耳机;入耳式|蓝牙5.3|声谷牌|型号SG-E3;006;007;1;035;0.06;189.00;0.12;声谷
YF-SM-00302;8507600090;移动电源;锂离子|10000mAh|声谷牌|型号SG-P10;007;007;1;;;129.00;0.24;声谷
YF-SM-00303;8504401400;手机充电器;输入100-240V|输出65W|声谷牌|型号SG-C65;007;007;1;;;99.00;0.11;声谷
YF-SM-00304;8517130000;智能手机;6.5英寸|128GB|声谷牌|型号SG-M9;001;001;1;;;1899.00;0.41;声谷
YF-SM-00305;9102110000;电子手表;石英|机械指示|塑胶表壳|声谷牌|型号SG-W1;008;008;1;;;259.00;0.15;声谷
YF-JJ-00401;9405420090;LED台灯;发光二极管|5W|USB供电|暖屋牌|型号L5;001;001;1;035;0.85;79.00;1.05;暖屋
YF-JJ-00402;6911101900;瓷制茶具;一壶四杯|骨瓷|暖屋牌|货号C14;006;035;1.36;;;159.00;1.80;暖屋
YF-JJ-00403;9404904000;羽绒被;200×230厘米|白鸭绒填充|暖屋牌;015;015;1;035;2.35;459.00;2.60;暖屋
YF-JJ-00404;6302210090;印花全棉床单;240×250厘米|100%棉|暖屋牌;015;015;1;035;0.92;119.00;1.00;暖屋
YF-JJ-00405;7323930000;不锈钢保温杯;500毫升|304不锈钢|暖屋牌;007;035;0.33333;;;69.00;0.36;暖屋
YF-WJ-00501;9503006000;智力拼插积木;塑料|520件|童乐牌|货号Q52;140;006;1;035;0.78;139.00;0.95;童乐
YF-WJ-00502;9503002100;毛绒玩具熊;涤纶填充|高40厘米|童乐牌;008;007;1;035;0.36;88.00;0.42;童乐
YF-SP-00601;0902309000;安化黑茶;砖形|250克/盒|湘茗牌;140;035;0.25;;;98.00;0.31;湘茗
YF-MZ-00701;9616200000;化妆用粉扑;聚氨酯|8只装|悦容牌;125;035;0.045;;;29.00;0.07;悦容
YF-YD-00801;9506911900;瑜伽弹力带;天然乳胶|5条装|跃动牌;006;035;0.42;;;49.00;0.47;跃动
YF-YD-00802;9507100010;碳素钓鱼竿;伸缩式|3.6米|跃动牌;014;014;1;;;179.00;0.55;跃动
"""

GOODS = tuple(_goods(row) for row in _RANGE.strip().splitlines())
"""The whole range."""
