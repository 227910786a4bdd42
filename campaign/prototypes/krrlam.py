import os, sys; sys.path.insert(0, os.path.dirname(__file__))
from common import *
src, seen, held = data(); real = real_of(seen)
b,c = load(sys.argv[1]); im, lab = decode_all(c)
for steps in (100, 600):
    n = net(real, 64, stream(0,"x"))
    train(n, im, lab, TrainConfig(epochs=0,batch=128,weight_decay=2e-4), normalisation=real.normalisation, seed=0, name="x", min_steps=steps)
    n.eval()
    hx, hy = held.images[:5000:3], held.labels[:5000:3].long()
    print(steps, "acc", accuracy(n, hx, hy, normalisation=real.normalisation))
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        fr = n.features(normalise(hx.float()/255, real.normalisation))[-1].flatten(1).float()
        g=torch.Generator().manual_seed(0)
        fs = n.features(apply(normalise(im, real.normalisation), draw(AUG,len(im),g,one_spatial=True)))[-1].flatten(1).float()
    for centre in (0,1):
        mu = fs.mean(0) if centre else 0
        A, B = (fs-mu).double(), (fr-mu).double()
        Kss=A@A.T/1024; Krs=B@A.T/1024; Y=F.one_hot(lab,10).double()-.1
        for lam in (1e-3,1e-2,1e-1,1,10,100):
            al=torch.linalg.solve(Kss+lam*Kss.diagonal().mean()*torch.eye(len(Y),dtype=torch.double),Y)
            p=Krs@al; tr = Kss@al
            print(centre, lam, "acc", round(100*(p.argmax(1)==hy).double().mean().item(),1), "train", round(100*(tr.argmax(1)==lab).double().mean().item(),1), "mse", round((.5*((p-(F.one_hot(hy,10)-.1))**2).sum(1).mean()).item(),3), "spread", round(p.std().item(),3))
